"""Pretrained weights fitted to a backbone, whatever their source.

Tensors are matched by name and shape, and a report says what was loaded, renamed and left out.
"""

import logging
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from cxr.core.errors import CxrError
from cxr.models.weights_source import read_weights

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WeightsReport:
    """What became of each tensor of a backbone and of a weights file."""

    source: str
    loaded: list[str] = field(default_factory=list)  # names in the backbone
    renamed: dict[str, str] = field(default_factory=dict)  # name in the file: name in the backbone
    adapted: list[str] = field(default_factory=list)  # first convolution, fitted to another number of channels
    missing: list[str] = field(default_factory=list)  # in the backbone only: these stay random
    left_out: list[str] = field(default_factory=list)  # in the file only, or of another shape
    share: float = 0.0  # of the backbone's weights that were loaded, 0 to 1

    def summary(self) -> str:
        """One line for the log."""
        line = f"{self.source}: {self.share:.1%} of the backbone loaded ({len(self.loaded)} tensors"
        line += f", {len(self.renamed)} renamed" if self.renamed else ""
        line += f", {', '.join(self.adapted)} adapted" if self.adapted else ""
        line += f", {len(self.missing)} stay random: {_some(self.missing)}" if self.missing else ""
        line += f", {len(self.left_out)} left out: {_some(self.left_out)}" if self.left_out else ""
        return line + ")"


def load_weights(backbone: nn.Module, name: str, source: str, min_loaded: float) -> WeightsReport:
    """Load `source` (package, imagenet, hf://owner/repo/file, a path, or none) into a backbone called `name`.

    Raises:
        CxrError: the source is unreachable, unreadable or unsafe, or less than `min_loaded` of the backbone's
            weights found a tensor of their name and shape.
    """
    if source == "none":
        return WeightsReport(source)
    report = fill(backbone, read_weights(name, source), source)
    log.info("weights %s", report.summary())
    if report.share < min_loaded:
        raise CxrError(
            f"train.weights: {source}: only {report.share:.1%} of {name!r} matched, train.min_loaded is "
            f"{min_loaded:.1%}; {len(report.left_out)} tensors of the file fit nowhere ({_some(report.left_out)}); "
            "give weights of this backbone or lower train.min_loaded"
        )
    return report


def fill(backbone: nn.Module, tensors: dict[str, Tensor], source: str) -> WeightsReport:
    """Copy the tensors that match a backbone's by name (after dropping a common prefix) and shape."""
    target = backbone.state_dict()
    prefix = _best_prefix(tensors, target)
    report = WeightsReport(source)
    new: dict[str, Tensor] = {}
    first_conv = next((key for key, value in target.items() if value.ndim == 4), "")
    for key, tensor in tensors.items():
        name = key.removeprefix(prefix)
        if name not in target or not key.startswith(prefix):
            report.left_out.append(key)
            continue
        fitted = tensor if tensor.shape == target[name].shape else None
        if fitted is None and name == first_conv:
            fitted = _fit_channels(tensor, target[name])
            report.adapted.extend([name] if fitted is not None else [])
        if fitted is None:
            report.left_out.append(key)
            continue
        new[name] = fitted
        report.loaded.append(name)
        if key != name:
            report.renamed[key] = name
    backbone.load_state_dict(new, strict=False)
    report.missing.extend(name for name in target if name not in new and not name.endswith("num_batches_tracked"))
    weights = dict(backbone.named_parameters())
    loaded = sum(weights[name].numel() for name in new if name in weights)
    total = sum(weight.numel() for weight in weights.values())
    return WeightsReport(**{**vars(report), "share": loaded / total})


def _fit_channels(tensor: Tensor, target: Tensor) -> Tensor | None:
    """A first convolution for another number of channels: grey is spread over RGB, the mask channel starts at zero."""
    if tensor.ndim != 4 or tensor.shape[0] != target.shape[0] or tensor.shape[2:] != target.shape[2:]:
        return None
    if tensor.shape[1] == 1:
        tensor = tensor.repeat(1, 3, 1, 1) / 3
    if tensor.shape[1] != 3 or target.shape[1] < 3:
        return None
    fitted = torch.zeros_like(target)
    fitted[:, :3] = tensor
    return fitted


def _best_prefix(tensors: dict[str, Tensor], target: dict[str, Tensor]) -> str:
    """The prefix (such as `module.backbone.`) without which most tensors match the target."""
    candidates = {""}
    for key in tensors:
        parts = key.split(".")
        candidates.update(".".join(parts[:depth]) + "." for depth in range(1, min(5, len(parts))))

    def matches(prefix: str) -> int:
        names = (key.removeprefix(prefix) for key in tensors if key.startswith(prefix))
        return sum(name in target for name in names)

    return max(sorted(candidates, key=len), key=matches)


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
