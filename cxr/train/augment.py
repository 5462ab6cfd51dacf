"""Augmentation of a whole batch at once: planned on the CPU, applied on the training device.

Every parameter comes from a table of uniform numbers, one row per film, drawn from (seed, epoch, batch): a film gets
the same change with one process or many. Images are float (N, C, H, W) on a 0 to 255 scale; the last channel is the
lung mask, to which only the geometry is applied.

Angles, sizes and strengths are computed in double precision: the last digit of a sine or a square root differs between
processors, and rounding to single precision removes it.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cxr.train.config import AugmentSection
from cxr.train.filters import (
    add_noise,
    adjust,
    blur,
    clahe,
    gaussian_kernels,
    jpeg,
    jpeg_tables,
    lower_resolution,
    sharpen,
)

# Uniform numbers per film. Fewer than 32 are used, but another width of the table would change every draw of a recipe,
# and with it the weights of published runs.
DRAWS = 32


@dataclass(frozen=True)
class Plan:
    """The changes of a batch, decided on the CPU, so that applying them never waits for a GPU."""

    # Per change: under its name the indices of the films that get it; its strengths have one value per such film.
    tensors: dict[str, Tensor]
    shares: list[float]  # of the side, to which films are shrunk by `resolution`

    def each_tensor(self, change: Callable[[Tensor], Tensor]) -> "Plan":
        """The plan with its tensors pinned or moved."""
        return Plan({name: change(tensor) for name, tensor in self.tensors.items()}, self.shares)


def plan(uniforms: Tensor, settings: AugmentSection) -> Plan:
    """Plan the changes of a batch from its uniform numbers, (N, DRAWS) in [0, 1)."""
    draw: Iterator[Tensor] = iter(uniforms.double().T)
    found = {"maps": _crop_and_rotate(settings, draw).float()}

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * next(draw)

    def drawn(change: str, probability: float, *strengths: Tensor) -> list[Tensor]:
        """Strengths for the films that get a change; always consumes the same uniform numbers."""
        found[change] = (next(draw) < probability).nonzero().squeeze(1)
        return [strength[found[change]] for strength in strengths]

    drawn("clahe", settings.clahe)
    found["brightness"] = (uniform(-settings.brightness, settings.brightness) * 255).float()
    found["contrast"] = (1 + uniform(-settings.contrast, settings.contrast)).float()
    found["gamma"] = (2 ** uniform(-settings.gamma, settings.gamma)).float()
    amount, sigma = drawn("sharpen", settings.sharpen, uniform(0, settings.sharpen_amount), uniform(0.6, 1.6))
    found |= {"sharpen_amount": amount.float(), "sharpen_kernels": gaussian_kernels(sigma)}
    (sigma,) = drawn("blur", settings.blur, uniform(0.3, max(0.3, settings.blur_sigma)))
    found["blur_kernels"] = gaussian_kernels(sigma)
    (shares,) = drawn("resolution", settings.resolution, uniform(settings.resolution_least, 1))
    (std,) = drawn("noise", settings.noise, uniform(0, settings.noise_std))
    found["noise_std"] = std.float()
    (quality,) = drawn("jpeg", settings.jpeg, uniform(settings.jpeg_quality, max(90, settings.jpeg_quality)))
    found["jpeg_tables"] = jpeg_tables(quality)
    return Plan(found, shares.tolist())


def augment(images: Tensor, planned: Plan, settings: AugmentSection) -> Tensor:
    """Change a batch as planned: geometry, exposure, reproduction (sharpness, noise, JPEG); padding stays black.

    Args:
        images: (N, C, H, W), uint8 or float, 0 to 255; the last channel is the mask.
        planned: the plan, with tensors on the device of the images.
        settings: those that the plan was made with.

    Returns:
        Float images of the same shape and scale. Noise comes from torch's global generator.
    """
    given, images = planned.tensors, images.float()

    def apply_to_drawn(name: str, change: Callable[..., Tensor], *strengths: Any) -> None:
        index = given[name]
        if len(index):
            film[index] = change(film[index], *strengths)

    moved = warp(torch.cat([images, content_mask(images[:, :-1])], dim=1), given["maps"])
    film, mask, inside = moved[:, :-2], moved[:, -2:-1], moved[:, -1:] > 0.01
    apply_to_drawn("clahe", clahe, settings.clahe_clip)
    film = adjust(film, given["brightness"], given["contrast"], given["gamma"])
    apply_to_drawn("sharpen", sharpen, given["sharpen_amount"], given["sharpen_kernels"])
    apply_to_drawn("blur", blur, given["blur_kernels"])
    apply_to_drawn("resolution", lower_resolution, planned.shares)
    apply_to_drawn("noise", add_noise, given["noise_std"])
    apply_to_drawn("jpeg", jpeg, given["jpeg_tables"])
    return torch.cat([film * inside, mask], dim=1)


def content_mask(film: Tensor) -> Tensor:
    """1 on the film and 0 in the black bars beside it, (N, 1, H, W): the box of all pixels above 0."""
    lit = film.amax(dim=1, keepdim=True) > 0
    rows, columns = lit.any(dim=3, keepdim=True), lit.any(dim=2, keepdim=True)
    return (_from_first_to_last(rows, 2) & _from_first_to_last(columns, 3)).to(film.dtype)


def warp(images: Tensor, theta: Tensor) -> Tensor:
    """Resample films by affine maps (N, 2, 3) from output to input, in coordinates of -1 to 1; black outside."""
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def affine(angle: Tensor, width: Tensor, height: Tensor, x: Tensor, y: Tensor, flip: Tensor) -> Tensor:
    """Maps that crop a window (share of the side, centre in -1 to 1), rotate it by `angle` radians and mirror it."""
    cos, sin = angle.cos(), angle.sin()
    sign = 1 - 2 * flip.to(width.dtype)
    rows = [cos * width * sign, -sin * height, x, sin * width * sign, cos * height, y]
    return torch.stack(rows, dim=1).view(-1, 2, 3)


def _crop_and_rotate(settings: AugmentSection, draw: Iterator[Tensor]) -> Tensor:
    area = settings.crop_scale + (1 - settings.crop_scale) * next(draw)
    ratio = settings.crop_ratio ** (2 * next(draw) - 1)
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    x, y = (1 - width) * (2 * next(draw) - 1), (1 - height) * (2 * next(draw) - 1)
    angle = math.radians(settings.rotation) * (2 * next(draw) - 1)
    return affine(angle, width, height, x, y, flip=next(draw) < settings.flip)


def _from_first_to_last(lit: Tensor, dim: int) -> Tensor:
    begun = lit.cummax(dim=dim).values
    return begun & lit.flip(dim).cummax(dim=dim).values.flip(dim)
