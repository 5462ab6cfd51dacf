import pytest
import torch
from torch import nn

from cxr.evaluate.gradcam import logits_and_cam, lung_share
from cxr.evaluate.inference import lungs_only, without_lungs
from tests.evaluate.conftest import THREE, tiny_classifier


class Corner(nn.Module):
    """A classifier whose one feature is the brightness of each 8 x 8 block."""

    def feature_map(self, images: torch.Tensor) -> torch.Tensor:
        return nn.functional.avg_pool2d(images[:, :1].float(), 8)

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        return features.mean(dim=(1, 2, 3)) - 10


def _films(count: int = 3, side: int = 64) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randint(0, 256, (count, 4, side, side), dtype=torch.uint8)


def test_the_evidence_lies_where_the_classifier_looks():
    film = torch.zeros(1, 4, 64, 64, dtype=torch.uint8)
    film[0, 0, :16, :16] = 200
    film[0, 3, :32, :32] = 255
    _, cam = logits_and_cam(Corner(), film)
    assert cam[0, :16, :16].sum() / cam[0].sum() > 0.75
    assert lung_share(cam, film[:, 3])[0] == pytest.approx(1.0)
    film[0, 3] = 255 - film[0, 3]
    assert lung_share(cam, film[:, 3])[0] == pytest.approx(0.0)


class CornerChannelsLast(Corner):
    """The same with features (N, h, w, C), as Swin and its like have them."""

    class backbone:
        output_fmt = "NHWC"

    def feature_map(self, images: torch.Tensor) -> torch.Tensor:
        return super().feature_map(images).permute(0, 2, 3, 1)


def test_features_with_channels_last_give_the_same_map():
    _, usual = logits_and_cam(Corner(), _films())
    _, cam = logits_and_cam(CornerChannelsLast(), _films())
    torch.testing.assert_close(cam, usual)


def test_the_share_of_an_even_map_is_the_area_of_the_lungs():
    mask = torch.zeros(1, 64, 64, dtype=torch.uint8)
    mask[0, :, :16] = 255
    assert lung_share(torch.ones(1, 64, 64), mask)[0] == pytest.approx(0.25)


def test_without_evidence_or_an_outline_of_lungs_there_is_no_share():
    mask = torch.full((3, 8, 8), 255, dtype=torch.uint8)
    mask[0, :4], mask[1] = 0, 0  # half a film; no lungs; and the whole film, where segmentation gave up
    cam = torch.stack([torch.zeros(8, 8), torch.ones(8, 8), torch.ones(8, 8)])
    assert torch.tensor(lung_share(cam, mask)).isnan().all()


@pytest.mark.parametrize("classes", [("normal", "pneumonia"), THREE])
def test_one_pass_gives_the_logits_of_the_classifier(classes: tuple[str, ...]):
    classifier = tiny_classifier(classes)
    logits, cam = logits_and_cam(classifier, _films())
    with torch.no_grad():
        assert torch.equal(logits, classifier(_films()))
    assert cam.shape == (3, 64, 64)
    assert (cam >= 0).all()


def test_a_film_explains_itself_alike_alone_and_in_a_batch():
    classifier = tiny_classifier()
    _, together = logits_and_cam(classifier, _films())
    _, alone = logits_and_cam(classifier, _films()[1:2])
    assert torch.allclose(together[1], alone[0], atol=1e-5)


def test_removed_and_kept_lungs_complete_each_other():
    films = _films(1)
    films[0, 3] = 0
    films[0, 3, 10:20, 10:20] = 255
    removed, kept = without_lungs(films), lungs_only(films)
    assert torch.equal(removed[:, :3, 30:, 30:], films[:, :3, 30:, 30:])
    assert torch.equal(kept[:, :3, 10:20, 10:20], films[:, :3, 10:20, 10:20])
    assert removed[0, :3, 10:20, 10:20].unique().numel() == 1
    assert kept[0, :3, 30:, 30:].unique().numel() == 1
    assert torch.equal(removed[:, 3], films[:, 3])
