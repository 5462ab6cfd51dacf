"""Grad-CAM (Selvaraju et al. 2017) on the last feature map: where the evidence for the finding lies."""

import numpy as np
import torch
from torch.nn.functional import interpolate

from cxr.evaluate.arrays import Bools, Floats
from cxr.models.classifier import Classifier
from cxr.models.score import Images, Logits, as_input

WHOLE_FILM = 0.95  # share of the picture above which a mask is no outline of lungs


def logits_and_cam(classifier: Classifier, images: Images) -> tuple[Logits, Floats | None]:
    """Logits as `score` gives them, and the Grad-CAM of the plain films; only the head is differentiated.

    The map is that of the positive class (two classes) or of the likeliest class (more).

    Args:
        classifier: in evaluation mode.
        images: stored films, uint8 (N, H, W, 4).

    Returns:
        Logits as `score` gives them, and maps (N, H, W) of non-negative evidence; None for a backbone whose features
        are no map (N, C, h, w) or (N, h, w, C).
    """
    films = as_input(classifier, images)
    with torch.no_grad():
        features = classifier.feature_map(films)
    channels_last = str(getattr(getattr(classifier, "backbone", None), "output_fmt", "")).upper().endswith("NHWC")
    channel, spatial = (3, (1, 2)) if channels_last else (1, (2, 3))
    if features.ndim != 4 or features.shape[spatial[0]] == 1:
        with torch.no_grad():
            return np.asarray(classifier.with_mirror(classifier.logits(features), films).cpu().numpy()), None
    with torch.enable_grad():
        features = features.detach().requires_grad_(True)
        logits = classifier.logits(features)
        target = logits if logits.ndim == 1 else logits.max(dim=1).values
        (gradient,) = torch.autograd.grad(target.sum(), features)
    with torch.no_grad():
        logits = classifier.with_mirror(logits, films)
        cam = (gradient.mean(dim=spatial, keepdim=True) * features).sum(dim=channel).relu()
        cam = interpolate(cam[:, None], size=images.shape[1:3], mode="bilinear", align_corners=False)[:, 0]
    return np.asarray(logits.detach().cpu().numpy()), np.asarray(cam.cpu().numpy().astype(np.float64))


def lung_share(cam: Floats, masks: Images) -> Floats:
    """Share of each map's mass inside the lungs, (N,).

    NaN without evidence, without lungs, and where the mask is the whole film because segmentation gave up.

    Args:
        cam: (N, H, W), not negative.
        masks: (N, H, W) uint8, more than 127 inside the lungs.
    """
    total, lungs = cam.sum(axis=(1, 2)), (cam * (masks > 127)).sum(axis=(1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where((total > 0) & outlined(masks), lungs / total, np.nan)


def outlined(masks: Images) -> Bools:
    """Whether each mask (N, H, W) outlines lungs: it is neither empty nor the whole film, (N,)."""
    area = (masks > 127).mean(axis=(1, 2))
    return np.asarray((area > 0) & (area < WHOLE_FILM))
