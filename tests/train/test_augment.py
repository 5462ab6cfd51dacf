import cv2
import numpy as np
import pytest
import torch

from cxr.train.augment import DRAWS, augment, plan
from cxr.train.config import AugmentSection
from cxr.train.filters import blur, clahe, gaussian_kernels, jpeg, jpeg_tables, lower_resolution, sharpen
from tests.settings import augmentation

OFF = augmentation(
    rotation=0,
    crop_scale=1,
    crop_ratio=1,
    flip=0,
    brightness=0,
    contrast=0,
    gamma=0,
    clahe=0,
    sharpen=0,
    blur=0,
    resolution=0,
    jpeg=0,
    noise=0,
)
ALL = augmentation(clahe=1, sharpen=1, blur=1, resolution=1, noise=1, jpeg=1)


def film(seed: int = 0, side: int = 96, channels: int = 2) -> torch.Tensor:
    """A smooth random film with a mask of two blocks, uint8 (1, channels, side, side)."""
    random = np.random.default_rng(seed)
    grey = cv2.GaussianBlur(random.integers(0, 256, (side, side), dtype=np.uint8), (0, 0), 3)
    grey = cv2.normalize(grey, None, 0, 255, cv2.NORM_MINMAX)
    mask = np.zeros_like(grey)
    mask[20:70, 15:40] = mask[20:70, 55:80] = 255
    return torch.from_numpy(np.stack([grey] * (channels - 1) + [mask]))[None]


def changed_at_random(films: torch.Tensor, table: torch.Tensor, settings: AugmentSection) -> torch.Tensor:
    return augment(films, plan(table, settings), settings)


def uniforms(films: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(films, DRAWS, generator=torch.Generator().manual_seed(seed))


def test_with_everything_off_films_come_back_unchanged() -> None:
    assert torch.allclose(changed_at_random(film(), uniforms(1), OFF), film().float(), atol=1e-3)


def test_the_mask_follows_the_geometry_of_the_film() -> None:
    geometry = OFF.model_copy(update={"rotation": 25.0, "crop_scale": 0.5, "crop_ratio": 1.3, "flip": 0.5})
    films = film()[:, [1, 1]].repeat(16, 1, 1, 1)
    changed = changed_at_random(films, uniforms(16), geometry)
    assert torch.allclose(changed[:, 0], changed[:, 1], atol=2.6)  # what a hundredth of a film covers counts as bar
    assert not torch.allclose(changed[:, 1], films[:, 1].float(), atol=1)


def test_intensity_changes_leave_the_mask_alone() -> None:
    still = ALL.model_copy(update={"rotation": 0.0, "crop_scale": 1.0, "crop_ratio": 1.0, "flip": 0.0})
    changed = changed_at_random(film(), uniforms(1), still)
    assert torch.allclose(changed[:, 1], film()[:, 1].float(), atol=1e-3)
    assert not torch.allclose(changed[:, 0], film()[:, 0].float(), atol=1)


def test_a_sure_flip_is_a_mirror() -> None:
    changed = changed_at_random(film(), uniforms(1), OFF.model_copy(update={"flip": 1.0}))
    assert torch.allclose(changed, film().float().flip(3), atol=1e-3)


@pytest.mark.parametrize("channels", [2, 4])
def test_films_stay_on_their_scale(channels: int) -> None:
    changed = changed_at_random(film(channels=channels).repeat(8, 1, 1, 1), uniforms(8), ALL)
    assert changed.shape == (8, channels, 96, 96)
    assert changed.min() >= 0
    assert changed.max() <= 255.01


def test_the_change_of_a_film_does_not_depend_on_its_batch() -> None:
    quiet = ALL.model_copy(update={"noise": 0.0, "jpeg": 0.0})  # JPEG steps make the last digit of a sum visible
    films, table = torch.cat([film(seed) for seed in range(6)]), uniforms(6)
    together = changed_at_random(films, table, quiet)
    for place in range(6):
        alone = changed_at_random(films[place : place + 1], table[place : place + 1], quiet)
        assert (alone[0] - together[place]).abs().mean() < 0.05


def test_clahe_is_opencvs_clahe() -> None:
    for side in (96, 100):  # 100 is no multiple of eight tiles
        films = film(seed=3, side=side)[:, :1]
        ours = clahe(films.float(), clip_limit=2.0)[0, 0].numpy()
        theirs = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(films[0, 0].numpy()).astype(float)
        assert np.abs(ours - theirs).max() <= 1


def test_blur_is_opencvs_gaussian_blur() -> None:
    films = film()[:, :1].float().repeat(2, 1, 1, 1)
    ours = blur(films, gaussian_kernels(torch.tensor([0.8, 1.6])))
    for place, sigma in enumerate((0.8, 1.6)):
        theirs = cv2.GaussianBlur(films[place, 0].numpy(), (11, 11), sigma, borderType=cv2.BORDER_REFLECT_101)
        assert np.abs(ours[place, 0].numpy() - theirs).max() < 0.5


def test_jpeg_is_opencvs_jpeg() -> None:
    for side, quality in ((96, 20), (100, 60)):  # 100 is no multiple of a block
        films = film(side=side)[:, :1]
        ours = jpeg(films.float(), jpeg_tables(torch.tensor([float(quality)], dtype=torch.float64)))[0, 0].numpy()
        encoded = cv2.imencode(".jpg", films[0, 0].numpy(), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        theirs = cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE).astype(float)
        assert np.abs(ours - theirs).mean() < 0.3  # a coefficient at the edge of two steps may fall either way
        assert np.abs(ours - theirs).max() <= 16
        assert np.abs(ours - films[0, 0].numpy()).max() > 3


def test_sharpening_and_lower_resolution_change_detail_one_up_one_down() -> None:
    films = film()[:, :1].float()

    def detail(changed: torch.Tensor) -> float:
        return float(cv2.Laplacian(changed[0, 0].numpy(), cv2.CV_32F).var())

    one = torch.ones(1)
    sharper = sharpen(films, one, gaussian_kernels(one))
    assert detail(sharper) > detail(films) > detail(lower_resolution(films, [0.4]))


def test_black_bars_beside_a_film_stay_black_whatever_is_done_to_the_film() -> None:
    films = film().repeat(8, 1, 1, 1)
    films[:, :, :, :20] = films[:, :, :, -20:] = 0
    films[:, 0, :, 20:-20].clamp_(min=1)
    still = ALL.model_copy(update={"rotation": 0.0, "crop_scale": 1.0, "crop_ratio": 1.0, "brightness": 1.0})
    changed = changed_at_random(films, uniforms(8), still)
    assert changed[:, 0, :, :20].max() == changed[:, 0, :, -20:].max() == 0
    assert changed[:, 0, :, 20:-20].mean() > 10
