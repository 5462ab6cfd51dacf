"""A fixed, harder copy of the validation films: other exposure, blur, lower resolution, tighter crop, noise.

Ordinary validation saturates on films of one hospital; how a model ranks these separates recipes. The changes depend on
the place of a film in the set and on nothing else, so that every run and every device scores the same pixels.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cxr.train.augment import add_noise, adjust, affine, blur, warp

SEED = 20240229
CHUNK = 64
Array = np.ndarray[Any, Any]


def corrupted_copy(images: Array) -> Iterator[tuple[slice, Array]]:
    """Yield parts of the corrupted copy of uint8 films (N, C, H, W), each with its place."""
    for start in range(0, len(images), CHUNK):
        part = slice(start, min(start + CHUNK, len(images)))
        films = torch.from_numpy(np.array(images[part])).float()
        noise = torch.Generator().manual_seed(SEED + start)
        draws = torch.rand(len(films), 8, generator=noise)
        yield part, corrupt(films, draws, noise).round().clamp(0, 255).to(torch.uint8).numpy()


def corrupt(images: Tensor, draws: Tensor, generator: torch.Generator) -> Tensor:
    """Corrupt float films (N, C, H, W) of 0 to 255; `draws` are 8 uniform numbers a film."""
    crop, x, y, gamma, brightness, sigma, resolution, std = draws.double().T  # see cxr/train/augment.py
    window = 0.8 + 0.2 * crop
    still = torch.zeros_like(window)
    theta = affine(still, window, window, (1 - window) * (2 * x - 1), (1 - window) * (2 * y - 1), flip=still)
    moved = warp(images, theta)
    film, mask = moved[:, :-1], moved[:, -1:]
    film = adjust(film, 0.2 * (2 * brightness - 1), contrast=torch.ones_like(gamma), gamma=2 ** (1.6 * gamma - 0.8))
    film = blur(film, 0.3 + 1.4 * sigma)
    film = torch.cat(
        [_lower_resolution(one[None], 0.4 + 0.6 * float(keep)) for one, keep in zip(film, resolution, strict=True)]
    )
    return torch.cat([add_noise(film, 12 * std, generator), mask], dim=1)


def _lower_resolution(film: Tensor, share: float) -> Tensor:
    height, width = film.shape[-2:]
    small = F.interpolate(film, size=(round(height * share), round(width * share)), mode="area")
    return F.interpolate(small, size=(height, width), mode="bilinear", align_corners=False)
