"""PyTorch, TorchScript and ONNX Runtime give the same logits."""

import io
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from cxr.bundle.network import Network, load_network
from cxr.core.errors import CxrError
from cxr.evaluate.inference import logits_and_cam
from cxr.models.classifier import Classifier, as_input, new_classifier, score
from cxr.package.export import (
    ServedClassifier,
    check_onnx,
    check_script,
    probe,
    to_onnx,
    to_torchscript,
    with_unit_variances,
)
from tests.bundles import BACKBONE, THREE, TWO
from tests.conftest import phantom

VIT = "test_vit"


def classifier(
    classes: tuple[str, ...] = TWO, backbone: str = BACKBONE, mask: str = "none", mirror: bool = False
) -> Classifier:
    torch.manual_seed(0)
    made = new_classifier(backbone, classes, 160 if backbone == VIT else 64, mask, mirror=mirror).eval()
    with torch.no_grad():
        made.head[-1].weight.mul_(1 if backbone == VIT else 300)  # so that films differ
    return made


def films(count: int, side: int = 64) -> np.ndarray:
    """Stored images, uint8 (count, side, side, 4)."""
    pairs = [phantom(seed, side, side) for seed in range(count)]
    return np.stack([np.dstack([film, film, film, mask]) for film, mask in pairs])


def exported(made: Classifier, path: Path, weights: str = "float32") -> Network:
    path.write_bytes(to_onnx(ServedClassifier(made), weights))
    return load_network(path)


@pytest.mark.parametrize(
    ("classes", "mask", "mirror"),
    [(TWO, "none", False), (TWO, "none", True), (TWO, "concat", False), (THREE, "concat", True)],
)
def test_three_engines_agree_on_a_hundred_films(
    classes: tuple[str, ...], mask: str, mirror: bool, tmp_path: Path
) -> None:
    made, images = classifier(classes, mask=mask, mirror=mirror), films(100)
    expected = score(made, images)
    assert np.ptp(expected) > 0.1  # the films differ, so that agreement is meaningful
    network = exported(made, tmp_path / "c.onnx")
    assert np.abs(network.score(images).logits - expected).max() <= 1e-4
    script = torch.jit.load(io.BytesIO(to_torchscript(ServedClassifier(made))))
    logits = script(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))[0].detach().numpy()
    assert np.abs(logits - expected).max() <= 1e-4


def test_any_number_of_films_may_be_scored_together(tmp_path: Path) -> None:
    network, images = exported(classifier(), tmp_path / "c.onnx"), films(7)
    alone = np.concatenate([network.score(images[at : at + 1]).logits for at in range(7)])
    assert network.score(images).logits == pytest.approx(alone, abs=1e-5)


def test_export_leaves_the_classifier_as_it_was() -> None:
    made, images = classifier(), films(3)
    before = score(made, images)
    to_onnx(ServedClassifier(made), "float32")
    assert not made.training
    assert np.array_equal(score(made, images), before)


def trained_norms(made: Classifier) -> list[nn.BatchNorm2d]:
    """Give the batch norms statistics and weights as training does."""
    norms = [module for module in made.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        assert norm.running_var is not None
        norm.running_var.uniform_(0.2, 3)
        nn.init.uniform_(norm.weight, 0.5, 1.5)
    return norms


def test_folded_weights_have_correctly_rounded_roots(tmp_path: Path) -> None:
    made = classifier()
    norm = trained_norms(made)[0]
    assert norm.running_var is not None
    root = np.sqrt(norm.running_var.numpy().astype(np.float64) + norm.eps)
    scale = (norm.weight.detach().numpy() / root).astype(np.float32)
    convolution = next(module for module in made.modules() if isinstance(module, nn.Conv2d))
    expected = convolution.weight.detach().numpy() * scale[:, None, None, None]
    exported(made, tmp_path / "c.onnx")
    stored = [onnx.numpy_helper.to_array(one) for one in onnx.load(tmp_path / "c.onnx").graph.initializer]
    assert any(np.array_equal(one, expected) for one in stored)


def test_unit_variances_leave_the_logits_and_the_classifier_as_they_were() -> None:
    made, images = classifier(), films(3)
    trained_norms(made)
    before = score(made, images)
    scaled = with_unit_variances(ServedClassifier(made))
    assert score(scaled.classifier, images) == pytest.approx(before, rel=1e-4, abs=1e-4)
    assert np.array_equal(score(made, images), before)


def test_int16_weights_halve_the_file_and_keep_the_logits(tmp_path: Path) -> None:
    made, images = classifier(backbone="tf_efficientnet_lite0"), films(4)
    expected = score(made, images)
    full, short = (exported(made, tmp_path / f"{kind}.onnx", kind) for kind in ("float32", "int16"))
    assert (tmp_path / "int16.onnx").stat().st_size < 0.53 * (tmp_path / "float32.onnx").stat().st_size
    span = np.abs(expected).max()
    assert np.abs(short.score(images).logits - expected).max() <= 1e-3 * max(span, 1)
    assert np.abs(full.score(images).logits - expected).max() <= 1e-4


def test_class_activation_is_the_grad_cam_of_the_evaluation_up_to_its_scale(tmp_path: Path) -> None:
    made, images = classifier(), films(4)
    activation = exported(made, tmp_path / "c.onnx").score(images).activation
    assert activation is not None
    _, cam = logits_and_cam(made, images)
    assert cam is not None
    for ours, theirs in zip(activation[:, 0], np.asarray(cam), strict=True):
        positive = torch.from_numpy(np.maximum(ours, 0))[None, None]
        fine = torch.nn.functional.interpolate(positive, size=(64, 64), mode="bilinear", align_corners=False)[0, 0]
        assert np.corrcoef(fine.numpy().ravel(), theirs.ravel())[0, 1] > 0.999


def test_the_features_are_mean_and_deviation_of_the_third_stage_from_the_end(tmp_path: Path) -> None:
    made, images = classifier(), films(3)
    with torch.no_grad():
        maps = made.backbone.forward_intermediates(made.prepare(as_input(made, images)), intermediates_only=True)
    expected = torch.cat([maps[-3].mean(dim=(2, 3)), maps[-3].std(dim=(2, 3), correction=0)], dim=1).numpy()
    assert exported(made, tmp_path / "c.onnx").score(images).features == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_class_activation_averages_to_the_logit(tmp_path: Path) -> None:
    made = classifier(THREE)
    scores = exported(made, tmp_path / "c.onnx").score(films(5))
    assert scores.activation is not None
    mean = scores.activation.mean(axis=(2, 3)) + made.head[-1].bias.detach().numpy()
    assert mean == pytest.approx(scores.logits, abs=1e-4)


def test_a_network_without_a_feature_map_gives_no_activation(tmp_path: Path) -> None:
    made = classifier(backbone=VIT)
    scores = exported(made, tmp_path / "c.onnx").score(films(2, 160))
    assert scores.activation is None
    assert scores.features.shape == (2, 2 * made.backbone.num_features)
    assert scores.logits == pytest.approx(score(made, films(2, 160)), abs=1e-4)


@pytest.mark.parametrize("backbone", [BACKBONE, "tf_efficientnet_lite0"])  # the latter computes its padding
def test_the_onnx_outputs_declare_the_shapes_that_they_have(backbone: str) -> None:
    served = ServedClassifier(classifier(THREE, backbone))
    model = onnx.load_from_string(to_onnx(served, "int16"))
    declared = [
        [dim.dim_param or dim.dim_value for dim in output.type.tensor_type.shape.dim] for output in model.graph.output
    ]
    with torch.no_grad():
        given = [list(output.shape[1:]) for output in served(probe(64))]
    assert declared == [["films", *lengths] for lengths in given]
    assert [len(shape) for shape in declared] == [2, 2, 4]


def test_a_script_contains_no_path_of_this_machine() -> None:
    script = to_torchscript(ServedClassifier(classifier()))
    assert str(Path(__file__).parents[2]).encode() not in script


def test_the_parity_check_detects_another_classifier(tmp_path: Path) -> None:
    network, images = exported(classifier(), tmp_path / "c.onnx"), films(3)
    torch.manual_seed(1)
    other = new_classifier(BACKBONE, TWO, 64).eval()
    with torch.no_grad():
        other.head[-1].weight.mul_(300)
    assert check_onnx(score(classifier(), images), network, images, "float32") <= 1e-4
    with pytest.raises(CxrError, match="differ from PyTorch"):
        check_onnx(score(other, images), network, images, "float32")
    with pytest.raises(CxrError, match="differ from PyTorch"):
        check_script(score(other, images), to_torchscript(ServedClassifier(classifier())), images)


def test_a_probe_is_the_same_in_every_run() -> None:
    assert torch.equal(probe(32), probe(32))
    assert set(probe(32)[:, 3].unique().tolist()) == {0, 255}
