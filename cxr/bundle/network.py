"""The classifier of a bundle: classifier.onnx under ONNX Runtime.

Contract of the file: input `image`, uint8 (films, 4, side, side) = [R, G, B, mask]; the file includes normalisation and
mirrored scoring. Outputs, float32: `logits` (films,) or (films, classes); `features` (films, values), mean and standard
deviation of each channel in the third stage from the end, or means of the last stage in older bundles; and, where the
head is linear on the last map, `activation` (films, 1 or classes, h, w), the class activation map.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from cxr.core.errors import CxrError
from cxr.films.letterbox import Image

Array = np.ndarray[Any, np.dtype[np.float32]]
INPUT = "image"
FILMS = "films"  # name of the dimension of variable length
LOGITS, FEATURES, ACTIVATION = "logits", "features", "activation"


@dataclass(frozen=True)
class Scores:
    """Outputs of the classifier for some films."""

    logits: Array  # (films,) for two classes, (films, classes) for more
    features: Array  # (films, values)
    activation: Array | None  # (films, 1 or classes, h, w): evidence for the second class, or for each class


@dataclass(frozen=True)
class Network:
    """A session of the classifier, for one film at a time."""

    session: Any

    def score(self, images: Image) -> Scores:
        """Score stored images, uint8 (films, side, side, 4)."""
        films = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        found = [self.session.run(None, {INPUT: films[at : at + 1]}) for at in range(len(films))]
        names = (output.name for output in self.session.get_outputs())
        by_name = dict(zip(names, map(np.concatenate, zip(*found, strict=True)), strict=True))
        return Scores(by_name[LOGITS], by_name[FEATURES], by_name.get(ACTIVATION))


def load_network(path: Path, threads: int = 1, portable: bool = False) -> Network:
    """Open the model.

    Args:
        path: classifier.onnx.
        threads: for one film.
        portable: equal bits on processors with AVX2 and with AVX-512, at more time per film.

    Raises:
        CxrError: the file is missing or is no classifier.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    if portable:  # the highest level packs channels by the processor's vector width, which changes the order of sums
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    # With every length known, padding is worked out once and not for each film, which saves a sixth of the time.
    options.add_free_dimension_override_by_name(FILMS, 1)
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises a different type for each fault
        raise CxrError(
            f"{path}: not a classifier ({' '.join(str(error).split())[:160]}); fetch the bundle again"
        ) from error
    names = [output.name for output in session.get_outputs()]
    if [one.name for one in session.get_inputs()] != [INPUT] or not {LOGITS, FEATURES} <= set(names):
        raise CxrError(
            f"{path}: gives {', '.join(names)}; expected {LOGITS} and {FEATURES}: not a classifier of a bundle"
        )
    return Network(session)
