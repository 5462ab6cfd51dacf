"""Augmentation of a whole batch at once, on the device that trains.

Every parameter comes from a table of uniform numbers, one row a film, which the loader draws from (seed, epoch, batch):
the same film gets the same change on one process or on many. Images are float (N, C, H, W) on a 0 to 255 scale; the
last channel is the lung mask, which follows the geometry and nothing else.

Angles, sizes and strengths are computed in double precision: libraries differ in the last digit of a sine or a square
root from processor to processor, and rounding to single precision takes that digit away.
"""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from cxr.train.clahe import clahe
from cxr.train.config import AugmentSection

DRAWS = 24  # uniform numbers a film


def augment(images: Tensor, draws: Tensor, settings: AugmentSection) -> Tensor:
    """Change a batch at random.

    Args:
        images: (N, C, H, W), uint8 or float, 0 to 255; the last channel is the mask.
        draws: (N, DRAWS), uniform in [0, 1).

    Returns:
        Float images of the same shape and scale. Noise comes from torch's global generator.
    """
    draw: Iterator[Tensor] = iter(draws.to(images.device).double().T)

    def between(low: float, high: float) -> Tensor:
        return low + (high - low) * next(draw)

    def chosen(probability: float) -> Tensor:
        return (next(draw) < probability).nonzero().squeeze(1)

    moved = warp(images.float(), _crop_and_turn(settings, draw))
    film, mask = moved[:, :-1], moved[:, -1:]

    index, clip = chosen(settings.clahe), settings.clahe_clip
    if len(index):
        film[index] = clahe(film[index], clip)
    film = adjust(
        film,
        brightness=between(-settings.brightness, settings.brightness),
        contrast=1 + between(-settings.contrast, settings.contrast),
        gamma=2 ** between(-settings.gamma, settings.gamma),
    )
    index, sigma = chosen(settings.blur), between(0.3, max(0.3, settings.blur_sigma))
    if len(index):
        film[index] = blur(film[index], sigma[index])
    index, std = chosen(settings.noise), between(0, settings.noise_std)
    if len(index):
        film[index] = add_noise(film[index], std[index])
    index, area, aspect = chosen(settings.erasing), between(0.02, settings.erasing_area), between(-0.7, 0.7)
    top, left = next(draw), next(draw)
    if len(index):
        film[index] = _erase(film[index], area[index], aspect[index].exp(), top[index], left[index])
    return torch.cat([film, mask], dim=1)


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


def adjust(film: Tensor, brightness: Tensor, contrast: Tensor, gamma: Tensor) -> Tensor:
    """Shift (share of the scale), stretch about the mean of the film, then raise to `gamma`; one value a film."""
    mean = film.mean(dim=(1, 2, 3), keepdim=True)
    factor, shift, gamma = (value.to(film.dtype).view(-1, 1, 1, 1) for value in (contrast, brightness * 255, gamma))
    unit = ((film - mean) * factor).add_(mean + shift).mul_(1 / 255).clamp_(0, 1)
    return unit.pow_(gamma).mul_(255)


def blur(film: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur with one sigma (pixels) a film."""
    radius = max(1, math.ceil(3 * float(sigma.max())))
    offset = torch.arange(-radius, radius + 1, device=film.device, dtype=sigma.dtype)
    kernel = torch.exp(-0.5 * (offset / sigma.view(-1, 1)) ** 2)
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).to(film.dtype).repeat_interleave(film.shape[1], dim=0)
    flat = film.reshape(1, -1, *film.shape[2:])
    flat = F.pad(flat, (radius, radius, radius, radius), mode="reflect")
    flat = F.conv2d(flat, kernel[:, None, None, :], groups=flat.shape[1])
    return F.conv2d(flat, kernel[:, None, :, None], groups=flat.shape[1]).view_as(film)


def add_noise(film: Tensor, std: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Gaussian noise of one standard deviation (grey levels) a film, equal in its colour channels."""
    shape = (len(film), 1, *film.shape[2:])
    noise = torch.randn(shape, device=film.device, dtype=film.dtype, generator=generator)
    return (film + noise * std.to(film.dtype).view(-1, 1, 1, 1)).clamp_(0, 255)


def _crop_and_turn(settings: AugmentSection, draw: Iterator[Tensor]) -> Tensor:
    area = settings.crop_scale + (1 - settings.crop_scale) * next(draw)
    ratio = settings.crop_ratio ** (2 * next(draw) - 1)
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    x, y = (1 - width) * (2 * next(draw) - 1), (1 - height) * (2 * next(draw) - 1)
    angle = math.radians(settings.rotation) * (2 * next(draw) - 1)
    return affine(angle, width, height, x, y, flip=next(draw) < settings.flip)


def _erase(film: Tensor, area: Tensor, aspect: Tensor, top: Tensor, left: Tensor) -> Tensor:
    """Paint a rectangle (area as a share of the film, aspect = width / height) in the film's mean."""
    height, width = (area / aspect).sqrt().clamp(max=1), (area * aspect).sqrt().clamp(max=1)
    rows = torch.linspace(0, 1, film.shape[2], device=film.device)
    columns = torch.linspace(0, 1, film.shape[3], device=film.device)
    top, left = (top * (1 - height))[:, None], (left * (1 - width))[:, None]
    inside_rows = (rows >= top) & (rows <= top + height[:, None])
    inside_columns = (columns >= left) & (columns <= left + width[:, None])
    inside = (inside_rows[:, :, None] & inside_columns[:, None, :])[:, None]
    return torch.where(inside, film.mean(dim=(1, 2, 3), keepdim=True), film)
