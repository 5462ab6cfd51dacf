"""Do PyTorch, TorchScript and ONNX Runtime say the same?"""

import io
import warnings

import numpy as np
import torch

from cxr.bundle.network import Network
from cxr.core.errors import CxrError
from cxr.models.classifier import Classifier
from cxr.models.score import Images, Logits, score

TOLERANCE = {"float32": 1e-4, "int16": 1e-3}  # share of the largest logit (at least 1), by how the weights are stored
SCRIPT_TOLERANCE = 1e-4


def check_onnx(classifier: Classifier, network: Network, images: Images, weights: str) -> float:
    """The largest difference between the logits of PyTorch and ONNX Runtime on some stored images.

    Raises:
        CxrError: it is larger than the stored weights explain.
    """
    return _within(score(classifier, images), network.score(images).logits, TOLERANCE[weights], "classifier.onnx")


def check_script(classifier: Classifier, script: bytes, images: Images) -> float:
    """The same for TorchScript."""
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # torch.jit is deprecated; the file is for those who still load it
        loaded = torch.jit.load(io.BytesIO(script))  # type: ignore[no-untyped-call]
        logits = loaded(torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))))[0].numpy()
    return _within(score(classifier, images), logits, SCRIPT_TOLERANCE, "TorchScript")


def _within(ours: Logits, theirs: Logits, tolerance: float, what: str) -> float:
    difference = float(np.abs(ours - theirs).max())
    if not difference <= tolerance * max(1.0, float(np.abs(ours).max())):
        raise CxrError(
            f"{what}: logits differ from PyTorch's by {difference:.2g}, more than {tolerance:g} of the largest; "
            "set package.weights: float32, or report the backbone"
        )
    return difference
