"""From stored films to logits: the one step that evaluation, prediction and serving share."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from cxr.models.classifier import Classifier

Images = np.ndarray[Any, np.dtype[np.uint8]]
Logits = np.ndarray[Any, np.dtype[np.float32]]


def score(classifier: Classifier, images: Images) -> Logits:
    """Logits of some stored films: (N,) for two classes, else (N, K); the mean with the mirror image's, if so trained.

    Args:
        classifier: in evaluation mode, on any device.
        images: uint8 (N, H, W, 4) = [R, G, B, lung mask], as an NPZ holds them.
    """
    with torch.inference_mode():
        films = as_input(classifier, images)
        return np.asarray(classifier.with_mirror(classifier(films), films).cpu().numpy())


def as_input(classifier: Classifier, images: Images) -> Tensor:
    """Stored films (N, H, W, 4) as the classifier takes them: uint8 (N, 4, H, W) on its device, channels last."""
    device = next(classifier.parameters()).device
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).to(device)
