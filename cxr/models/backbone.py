"""Backbones by name, from timm."""

from typing import Any

import timm
from torch import nn

from cxr.core.errors import CxrError, did_you_mean


def build_backbone(name: str, channels: int) -> nn.Module:
    """A timm model without its head and with random weights, for images of `channels` channels.

    Raises:
        CxrError: timm knows no model of this name, or the model cannot work without its own head.
    """
    known = timm.list_models()
    if name not in known:
        near = did_you_mean(name, known) or "; list them with timm.list_models()"
        raise CxrError(f"train.backbone: timm knows no model {name!r}{near}")
    backbone: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, in_chans=channels)
    if not hasattr(backbone, "forward_features") or not hasattr(backbone, "forward_head"):
        raise CxrError(f"train.backbone: {name!r} has no features to put a head on; take a classification model")
    return backbone


def feature_count(backbone: nn.Module) -> int:
    """Length of the vector that the backbone hands to the head."""
    count: Any = getattr(backbone, "head_hidden_size", None) or backbone.num_features
    return int(count)


def normalisation(name: str) -> tuple[list[float], list[float]]:
    """Mean and standard deviation an RGB channel (on a 0 to 1 scale) that the backbone's published weights expect."""
    config: Any = timm.get_pretrained_cfg(name)
    return [float(value) for value in config.mean], [float(value) for value in config.std]
