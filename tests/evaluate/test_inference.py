import numpy as np
import pytest
import torch
from torch import nn

from cxr.evaluate.inference import logits_and_cam, lung_share
from cxr.models.classifier import score
from tests.evaluate.conftest import THREE, tiny_classifier


class Corner(nn.Module):
    """A classifier whose one feature is the brightness of each 8 x 8 block."""

    def __init__(self) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.tensor(10.0))

    def feature_map(self, images: torch.Tensor) -> torch.Tensor:
        return nn.functional.avg_pool2d(images[:, :1].float(), 8)

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        return features.mean(dim=(1, 2, 3)) - self.offset

    def with_mirror(self, logits: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        return logits


def _films(count: int = 3, side: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 4), dtype=np.uint8)


def test_the_grad_cam_is_high_where_the_classifier_has_evidence():
    film = np.zeros((1, 64, 64, 4), np.uint8)
    film[0, :16, :16, 0] = 200
    film[0, :32, :32, 3] = 255
    _, cam = logits_and_cam(Corner(), film)
    assert cam[0, :16, :16].sum() / cam[0].sum() > 0.75
    assert lung_share(cam, film[..., 3])[0] == pytest.approx(1.0)
    film[..., 3] = 255 - film[..., 3]
    assert lung_share(cam, film[..., 3])[0] == pytest.approx(0.0)


class CornerChannelsLast(Corner):
    """The same with features (N, h, w, C), as Swin and its like have them."""

    class backbone:
        output_fmt = "NHWC"

    def feature_map(self, images: torch.Tensor) -> torch.Tensor:
        return super().feature_map(images).permute(0, 2, 3, 1)


def test_features_with_channels_last_give_the_same_map():
    _, usual = logits_and_cam(Corner(), _films())
    _, cam = logits_and_cam(CornerChannelsLast(), _films())
    np.testing.assert_allclose(cam, usual, rtol=1e-6)


def test_the_lung_share_of_an_even_map_is_the_area_of_the_lungs():
    mask = np.zeros((1, 64, 64), np.uint8)
    mask[0, :, :16] = 255
    assert lung_share(np.ones((1, 64, 64)), mask)[0] == pytest.approx(0.25)


def test_without_evidence_or_a_lung_mask_the_lung_share_is_nan():
    mask = np.full((3, 8, 8), 255, np.uint8)
    mask[0, :4], mask[1] = 0, 0  # half a film; no lungs; and the whole film, where segmentation gave up
    cam = np.stack([np.zeros((8, 8)), np.ones((8, 8)), np.ones((8, 8))])
    assert np.isnan(lung_share(cam, mask)).all()


@pytest.mark.parametrize("classes", [("normal", "pneumonia"), THREE])
def test_one_pass_gives_the_logits_of_the_classifier(classes: tuple[str, ...]):
    classifier = tiny_classifier(classes)
    logits, cam = logits_and_cam(classifier, _films())
    np.testing.assert_array_equal(logits, score(classifier, _films()))
    assert cam.shape == (3, 64, 64)
    assert (cam >= 0).all()


def test_a_film_has_the_same_map_alone_and_in_a_batch():
    classifier = tiny_classifier()
    _, together = logits_and_cam(classifier, _films())
    _, alone = logits_and_cam(classifier, _films()[1:2])
    np.testing.assert_allclose(together[1], alone[0], atol=1e-5)
