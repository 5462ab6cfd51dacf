"""Augmentation of a whole batch at once, on the device that trains.

Every parameter comes from a table of uniform numbers, one row a film, which the loader draws from (seed, epoch, batch):
the same film gets the same change on one process or on many. Images are float (N, C, H, W) on a 0 to 255 scale; the
last channel is the lung mask, which follows the geometry and nothing else.

Angles, sizes and strengths are computed in double precision: libraries differ in the last digit of a sine or a square
root from processor to processor, and rounding to single precision takes that digit away.
"""

import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from cxr.train.clahe import clahe
from cxr.train.config import AugmentSection
from cxr.train.filters import add_noise, adjust, blur, erase, jpeg, lower_resolution, sharpen
from cxr.train.matching import match

DRAWS = 32  # uniform numbers a film


def augment(images: Tensor, draws: Tensor, settings: AugmentSection) -> Tensor:
    """Change a batch at random: geometry, exposure, how the film was reproduced, erasing; padding stays black.

    Films are matched to others of the batch that is handed in: with several devices, of a device's share.

    Args:
        images: (N, C, H, W), uint8 or float, 0 to 255; the last channel is the mask.
        draws: (N, DRAWS), uniform in [0, 1).

    Returns:
        Float images of the same shape and scale. Noise comes from torch's global generator.
    """
    *columns, matched, partner = draws.to(images.device).double().T
    draw: Iterator[Tensor] = iter(columns)

    def between(low: float, high: float) -> Tensor:
        return low + (high - low) * next(draw)

    def sometimes(probability: float, change: Callable[..., Tensor], *strengths: Tensor) -> None:
        """Change those films of the batch that are drawn; whether or not, the same numbers are used up."""
        index = (next(draw) < probability).nonzero().squeeze(1)
        if len(index):
            film[index] = change(film[index], *(strength[index] for strength in strengths))

    images = images.float()
    moved = warp(torch.cat([images, shown(images[:, :-1])], dim=1), _crop_and_turn(settings, draw))
    film, mask, inside = moved[:, :-2], moved[:, -2:-1], moved[:, -1:] > 0.01

    index = (matched < settings.match).nonzero().squeeze(1)
    if len(index):
        other = partner.argsort()[index]
        film[index] = match(film[index], inside[index], film[other], inside[other])
    sometimes(settings.clahe, lambda films: clahe(films, settings.clahe_clip))
    film = adjust(
        film,
        brightness=between(-settings.brightness, settings.brightness),
        contrast=1 + between(-settings.contrast, settings.contrast),
        gamma=2 ** between(-settings.gamma, settings.gamma),
    )
    sometimes(settings.sharpen, sharpen, between(0, settings.sharpen_amount), between(0.6, 1.6))
    sometimes(settings.blur, blur, between(0.3, max(0.3, settings.blur_sigma)))
    sometimes(settings.resolution, lower_resolution, between(settings.resolution_least, 1))
    sometimes(settings.noise, add_noise, between(0, settings.noise_std))
    sometimes(settings.jpeg, jpeg, between(settings.jpeg_quality, max(90, settings.jpeg_quality)))
    area, aspect = between(0.02, settings.erasing_area), between(-0.7, 0.7).exp()
    sometimes(settings.erasing, erase, area, aspect, next(draw), next(draw))
    return torch.cat([film * inside, mask], dim=1)


def shown(film: Tensor) -> Tensor:
    """1 where a film is and 0 in the black bars beside it, (N, 1, H, W): the box of all that is not quite black."""
    lit = film.amax(dim=1, keepdim=True) > 0
    rows, columns = lit.any(dim=3, keepdim=True), lit.any(dim=2, keepdim=True)
    return (_from_first_to_last(rows, 2) & _from_first_to_last(columns, 3)).to(film.dtype)


def warp(images: Tensor, theta: Tensor) -> Tensor:
    """Resample films by affine maps (N, 2, 3) from output to input, in coordinates of -1 to 1; black outside."""
    grid = F.affine_grid(theta.to(images.dtype), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def affine(angle: Tensor, width: Tensor, height: Tensor, x: Tensor, y: Tensor, flip: Tensor) -> Tensor:
    """Maps that cut a window (share of the side, centre in -1 to 1), turn it by `angle` radians and mirror it."""
    cos, sin = angle.cos(), angle.sin()
    sign = 1 - 2 * flip.to(width.dtype)
    rows = [cos * width * sign, -sin * height, x, sin * width * sign, cos * height, y]
    return torch.stack(rows, dim=1).view(-1, 2, 3)


def _crop_and_turn(settings: AugmentSection, draw: Iterator[Tensor]) -> Tensor:
    area = settings.crop_scale + (1 - settings.crop_scale) * next(draw)
    ratio = settings.crop_ratio ** (2 * next(draw) - 1)
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    x, y = (1 - width) * (2 * next(draw) - 1), (1 - height) * (2 * next(draw) - 1)
    angle = math.radians(settings.rotation) * (2 * next(draw) - 1)
    return affine(angle, width, height, x, y, flip=next(draw) < settings.flip)


def _from_first_to_last(lit: Tensor, dim: int) -> Tensor:
    begun = lit.cummax(dim=dim).values
    return begun & lit.flip(dim).cummax(dim=dim).values.flip(dim)
