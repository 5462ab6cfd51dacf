"""The lung segmenter: models/lung_segmenter.onnx under ONNX Runtime.

Contract of the file: input `rgb`, float32 (films, 3, inner, inner) of 0..255; output `probability`, float32 (films, 1,
inner, inner). Its metadata holds `frame_px` (the letterbox), `inner_px`, `version` and, as JSON, `quality`
(`MaskQuality`; version 1.0.0 lacks it). The file that ships computes in integers: the same bits on every processor.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import onnxruntime

from cxr.core.errors import CxrError
from cxr.core.files import digest
from cxr.films.letterbox import Image
from cxr.segment.config import FIRST_QUALITY, MaskQuality

Probability = np.ndarray[Any, np.dtype[np.float32]]


class Segmenter(Protocol):
    """A model that finds lungs on a film in the letterbox: the shipped file, or a network in training."""

    @property
    def frame_px(self) -> int:
        """Side of the letterbox."""
        ...

    @property
    def quality(self) -> MaskQuality:
        """How the masks are scored."""
        ...

    def probability(self, frame: Image) -> Probability:
        """Probability of lung, (frame_px, frame_px), on a film in the letterbox: grey (h, w) or RGB (h, w, 3)."""
        ...


@dataclass(frozen=True)
class LungSegmenter:
    """An ONNX Runtime session and the metadata of its file."""

    session: Any
    frame_px: int
    inner_px: int
    version: str
    quality: MaskQuality

    def probability(self, frame: Image) -> Probability:
        """See `Segmenter.probability`."""
        (inner,) = self.session.run(None, {"rgb": to_input(frame, self.inner_px)[None]})
        return to_frame(inner[0, 0], self.frame_px)


def to_input(frame: Image, inner_px: int) -> Probability:
    """The network's input (3, inner, inner), float32 of 0..255, from grey (h, w) or RGB (h, w, 3)."""
    small = cv2.resize(frame, (inner_px, inner_px), interpolation=cv2.INTER_AREA)
    rgb = small if small.ndim == 3 else np.repeat(small[..., None], 3, axis=2)
    return np.ascontiguousarray(rgb.transpose(2, 0, 1), np.float32)


def to_frame(inner: Probability, frame_px: int) -> Probability:
    """Probability in the frame (frame_px, frame_px), from the network's resolution (inner, inner)."""
    return np.asarray(cv2.resize(inner, (frame_px, frame_px), interpolation=cv2.INTER_LINEAR), np.float32)


def load_segmenter(path: Path, threads: int = 1) -> LungSegmenter:
    """Open the model.

    One thread by default: films run in parallel processes, and a fixed order of sums gives the same bytes everywhere.

    Raises:
        CxrError: the file is missing, unreadable or not a lung segmenter.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    options.log_severity_level = 3
    # Below this level, integer networks are computed in floating point. Above it, channels of floating-point networks
    # are packed by the processor's vector width, which changes the order of sums.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    try:
        session = onnxruntime.InferenceSession(read_model(path), options, providers=["CPUExecutionProvider"])
        facts = session.get_modelmeta().custom_metadata_map
        quality = MaskQuality.model_validate_json(facts["quality"]) if "quality" in facts else FIRST_QUALITY
        return LungSegmenter(session, int(facts["frame_px"]), int(facts["inner_px"]), facts["version"], quality)
    except CxrError:
        raise
    except Exception as error:  # ONNX Runtime raises many types of its own
        first = " ".join(str(error).split())[:160]
        raise CxrError(f"{path}: not a lung segmenter ({first}); restore it with `git checkout -- {path}`") from error


def read_model(path: Path) -> bytes:
    """The file's bytes; raises CxrError when it is missing."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CxrError(f"{path}: no lung segmenter; restore it with `git checkout -- {path}`") from error


def model_hash(path: Path) -> str:
    """Content hash of the model file; raises CxrError when it is missing."""
    return digest(read_model(path))
