"""Grad-CAM (Selvaraju et al. 2017) on the last feature map: where the evidence for the finding lies."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from cxr.evaluate.bootstrap import Floats
from cxr.models.classifier import Classifier

WHOLE_FILM = 0.95  # share of the picture above which a mask is no outline of lungs


def logits_and_cam(classifier: Classifier, images: Tensor) -> tuple[Tensor, Tensor | None]:
    """Logits and Grad-CAM of a batch in one pass of the backbone; only the head is differentiated.

    The map is that of the positive class (two classes) or of the likeliest class (more).

    Args:
        classifier: in evaluation mode.
        images: (N, 4, H, W) uint8.

    Returns:
        Logits (N,) or (N, K), and maps (N, H, W) of non-negative evidence; None for a backbone whose features are
        no map (N, C, h, w) or (N, h, w, C).
    """
    with torch.no_grad():
        features = classifier.feature_map(images)
    channels_last = str(getattr(getattr(classifier, "backbone", None), "output_fmt", "")).upper().endswith("NHWC")
    channel, spatial = (3, (1, 2)) if channels_last else (1, (2, 3))
    if features.ndim != 4 or features.shape[spatial[0]] == 1:
        with torch.no_grad():
            return classifier.logits(features), None
    with torch.enable_grad():
        features = features.detach().requires_grad_(True)
        logits = classifier.logits(features)
        target = logits if logits.ndim == 1 else logits.max(dim=1).values
        (gradient,) = torch.autograd.grad(target.sum(), features)
    with torch.no_grad():
        cam = (gradient.mean(dim=spatial, keepdim=True) * features).sum(dim=channel).relu()
        cam = interpolate(cam[:, None], size=images.shape[2:], mode="bilinear", align_corners=False)[:, 0]
    return logits.detach(), cam


def lung_share(cam: Tensor, masks: Tensor) -> Floats:
    """Share of each map's mass inside the lungs, (N,).

    NaN without evidence, without lungs, and where the mask is the whole film because segmentation gave up.

    Args:
        cam: (N, H, W), not negative.
        masks: (N, H, W) uint8, more than 127 inside the lungs.
    """
    total, lungs = cam.sum(dim=(1, 2)), (cam * (masks > 127)).sum(dim=(1, 2))
    share = torch.where((total > 0) & outlined(masks), lungs / total, torch.nan)
    return share.cpu().numpy().astype(np.float64)


def outlined(masks: Tensor) -> Tensor:
    """Whether each mask (N, H, W) outlines lungs: it is neither empty nor the whole film, (N,) bool."""
    area = (masks > 127).float().mean(dim=(1, 2))
    return (area > 0) & (area < WHOLE_FILM)
