"""The classifier: backbone and head, its checkpoint, its scores."""

import copy
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from torch import Tensor, nn

from cxr.core.errors import CxrError, did_you_mean
from cxr.core.files import digest, write_bytes

Images = np.ndarray[Any, np.dtype[np.uint8]]
Logits = np.ndarray[Any, np.dtype[np.float32]]

CHECKPOINT_KIND = "cxr-classifier-1"
MASK_CHANNELS = ("none", "concat")
FACTS = {"classes", "backbone", "image_px", "mask_channel", "mean", "std", "dropout", "mirror"}


def build_backbone(name: str, channels: int) -> nn.Module:
    """A timm model without its head and with random weights, for images of `channels` channels.

    Raises:
        CxrError: timm has no model of this name, or the model has no separable head.
    """
    known = timm.list_models()
    if name not in known:
        near = did_you_mean(name, known) or "; list them with timm.list_models()"
        raise CxrError(f"train.backbone: timm has no model {name!r}{near}")
    backbone: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, in_chans=channels)
    if not hasattr(backbone, "forward_features") or not hasattr(backbone, "forward_head"):
        raise CxrError(f"train.backbone: {name!r} has no separable head; choose a classification model")
    return backbone


def feature_count(backbone: nn.Module) -> int:
    """Length of the backbone's output, the input of the head."""
    count: Any = getattr(backbone, "head_hidden_size", None) or backbone.num_features
    return int(count)


def normalisation(name: str) -> tuple[list[float], list[float]]:
    """Mean and standard deviation per RGB channel (0 to 1 scale) that the backbone's published weights expect."""
    config: Any = timm.get_pretrained_cfg(name)
    return [float(value) for value in config.mean], [float(value) for value in config.std]


class Classifier(nn.Module):
    """A backbone with dropout and a linear head, including normalisation and the use of the lung mask.

    `facts` is the metadata as plain JSON: classes, backbone, image_px, mask_channel, mean, std, dropout, mirror, and
    what training adds.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, facts: dict[str, Any]) -> None:
        super().__init__()
        if facts["mask_channel"] not in MASK_CHANNELS:
            raise CxrError(f"train.mask_channel: {facts['mask_channel']!r}; one of {', '.join(MASK_CHANNELS)}")
        self.facts = copy.deepcopy(facts)
        self.backbone = build_backbone(facts["backbone"], channels=4 if facts["mask_channel"] == "concat" else 3)
        outputs = 1 if len(facts["classes"]) == 2 else len(facts["classes"])
        self.head = nn.Sequential(nn.Dropout(facts["dropout"]), nn.Linear(feature_count(self.backbone), outputs))
        # Not persistent: the checkpoint already holds these constants in its facts.
        self.register_buffer("mean", torch.tensor(facts["mean"]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(facts["std"]).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Logits, float32: (N,) for two classes (positive = the second class), else (N, K).

        `image` is (N, 4, H, W) = [R, G, B, mask], uint8, or float on the same 0 to 255 scale.
        """
        return self.logits(self.feature_map(image))

    def feature_map(self, image: Tensor) -> Tensor:
        """The backbone's features before pooling: (N, C, h, w) for convolutional backbones, as Grad-CAM needs them."""
        features: Tensor = self.backbone.forward_features(self.prepare(image))  # type: ignore[operator]
        return features

    def logits(self, features: Tensor) -> Tensor:
        """Logits of the features that `feature_map` returned."""
        pooled = self.backbone.forward_head(features, pre_logits=True)  # type: ignore[operator]
        with torch.autocast(pooled.device.type, enabled=False):  # the head is small: full precision is cheap
            logits: Tensor = self.head(pooled.float())
        return logits.squeeze(1) if logits.shape[1] == 1 else logits

    def with_mirror(self, logits: Tensor, image: Tensor) -> Tensor:
        """Final logits from the plain ones: with `mirror` in the facts, their mean with those of the mirror images."""
        return (logits + self(image.flip(3))) / 2 if self.facts["mirror"] else logits

    def normalise(self, mean: float, std: float) -> None:
        """Set mean and standard deviation of the input (0 to 1 scale), for weights with other values than timm's."""
        self.facts |= {"mean": [mean] * 3, "std": [std] * 3}
        self.mean.fill_(mean)
        self.std.fill_(std)

    def prepare(self, image: Tensor) -> Tensor:
        """The backbone's input: scaled and normalised, with the lung mask as fourth channel for `concat`."""
        rgb, mask = image[:, :3].float() / 255, image[:, 3:4].float() / 255
        normal = (rgb - self.mean) / self.std
        return torch.cat([normal, mask * 2 - 1], dim=1) if self.facts["mask_channel"] == "concat" else normal

    @property
    def fingerprint(self) -> str:
        """Content hash of the weights."""
        parts = []
        for name, tensor in sorted(self.state_dict().items()):
            plain = tensor.detach().cpu().contiguous()
            parts += [f"{name} {plain.dtype} {tuple(plain.shape)}".encode(), plain.numpy().tobytes()]
        return digest(*parts)


def new_classifier(
    backbone: str,
    classes: Sequence[str],
    image_px: int,
    mask_channel: str = "none",
    dropout: float = 0.3,
    mirror: bool = False,
) -> Classifier:
    """A classifier with random weights."""
    # Reports an unknown name before `normalisation`. Its random numbers also decide the initial weights: keep the call.
    build_backbone(backbone, channels=3)
    mean, std = normalisation(backbone)
    return Classifier(
        {
            "classes": list(classes),
            "backbone": backbone,
            "image_px": image_px,
            "mask_channel": mask_channel,
            "dropout": dropout,
            "mirror": mirror,
            "mean": mean,
            "std": std,
        }
    )


def save_classifier(path: Path, classifier: Classifier) -> None:
    """Write facts and weights atomically; the same classifier gives the same bytes."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in classifier.state_dict().items()}
    buffer = io.BytesIO()  # with a path, the archive would contain the name of the temporary file
    torch.save({"kind": CHECKPOINT_KIND, "facts": json.dumps(classifier.facts), "state_dict": state}, buffer)
    write_bytes(path, buffer.getvalue())


def load_classifier(path: Path) -> Classifier:
    """Read a classifier, on the CPU and in evaluation mode.

    Raises:
        CxrError: the file is missing, no checkpoint of this version, or its weights do not fit its facts.
    """
    if not path.is_file():
        raise CxrError(f"{path}: no checkpoint; run `dvc repro train` first")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever its zip reader and unpickler raise
        raise CxrError(f"{path}: not a readable checkpoint; run `dvc repro train` again") from error
    if not isinstance(content, dict) or content.get("kind") != CHECKPOINT_KIND:
        raise CxrError(f"{path}: not a classifier checkpoint ({CHECKPOINT_KIND}); give one that the train stage wrote")
    facts = json.loads(content["facts"])
    if not facts.keys() >= FACTS or facts["mask_channel"] not in MASK_CHANNELS:
        raise CxrError(
            f"{path}: checkpoint of an older version; train again with `dvc repro train`, or read it at commit 732980e"
        )
    classifier = Classifier(facts)
    try:
        classifier.load_state_dict(content["state_dict"])
    except RuntimeError as error:
        fault = " ".join(str(error).split())[:200]
        raise CxrError(f"{path}: weights do not fit {classifier.facts['backbone']!r}: {fault}; train again") from error
    return classifier.eval()


def score(classifier: Classifier, images: Images) -> Logits:
    """Logits of stored images: (N,) for two classes, else (N, K); averaged with the mirror images' if so trained.

    Args:
        classifier: in evaluation mode, on any device.
        images: uint8 (N, H, W, 4) = [R, G, B, lung mask], as in an NPZ.
    """
    with torch.inference_mode():
        films = as_input(classifier, images)
        return np.asarray(classifier.with_mirror(classifier(films), films).cpu().numpy())


def as_input(classifier: Classifier, images: Images) -> Tensor:
    """Stored images (N, H, W, 4) as input of the classifier: uint8 (N, 4, H, W) on its device, channels last."""
    device = next(classifier.parameters()).device
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).to(device)
