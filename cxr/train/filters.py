"""Changes of a film's pixels that leave its geometry alone: exposure, and how a film was reproduced.

Films are float (N, C, H, W) on a 0 to 255 scale; strengths are one value a film.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 8
# Luminance table of the JPEG standard (ITU-T T.81, table K.1).
LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


def adjust(film: Tensor, brightness: Tensor, contrast: Tensor, gamma: Tensor) -> Tensor:
    """Shift (share of the scale), stretch about the mean of the film, then raise to `gamma`."""
    mean = film.mean(dim=(1, 2, 3), keepdim=True)
    factor, shift, gamma = (value.to(film.dtype).view(-1, 1, 1, 1) for value in (contrast, brightness * 255, gamma))
    unit = ((film - mean) * factor).add_(mean + shift).mul_(1 / 255).clamp_(0, 1)
    return unit.pow_(gamma).mul_(255)


def blur(film: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur; sigma in pixels."""
    radius = max(1, math.ceil(3 * float(sigma.max())))
    offset = torch.arange(-radius, radius + 1, device=film.device, dtype=sigma.dtype)
    kernel = torch.exp(-0.5 * (offset / sigma.view(-1, 1)) ** 2)
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).to(film.dtype).repeat_interleave(film.shape[1], dim=0)
    flat = film.reshape(1, -1, *film.shape[2:])
    flat = F.pad(flat, (radius, radius, radius, radius), mode="reflect")
    flat = F.conv2d(flat, kernel[:, None, None, :], groups=flat.shape[1])
    return F.conv2d(flat, kernel[:, None, :, None], groups=flat.shape[1]).view_as(film)


def sharpen(film: Tensor, amount: Tensor, sigma: Tensor) -> Tensor:
    """Unsharp masking: `amount` times the difference from the film blurred by `sigma` pixels is added."""
    strength = amount.to(film.dtype).view(-1, 1, 1, 1)
    return (film + strength * (film - blur(film, sigma))).clamp_(0, 255)


def lower_resolution(film: Tensor, share: Tensor) -> Tensor:
    """Shrink each film to a share of its side and enlarge it again."""
    height, width = film.shape[-2:]
    lowered = []
    for one, keep in zip(torch.split(film, 1), share.tolist(), strict=True):
        small = F.interpolate(one, size=(max(8, round(height * keep)), max(8, round(width * keep))), mode="area")
        lowered.append(F.interpolate(small, size=(height, width), mode="bilinear", align_corners=False))
    return torch.cat(lowered)


def jpeg(film: Tensor, quality: Tensor) -> Tensor:
    """What JPEG compression of a quality (1 to 100, as libjpeg scales its tables) leaves of each channel."""
    height, width = film.shape[-2:]
    padded = F.pad(film, (0, -width % BLOCK, 0, -height % BLOCK), mode="replicate") - 128
    columns = torch.unflatten(padded, 3, (-1, BLOCK))
    tiled = torch.unflatten(columns, 2, (-1, BLOCK)).transpose(3, 4)  # (N, C, rows, columns, 8, 8)
    cosine = _cosines().to(film)
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality).view(-1, 1, 1)
    table = ((torch.tensor(LUMINANCE, device=film.device) * scale + 50) / 100).floor().clamp(1, 255).to(film.dtype)
    table = table.view(-1, 1, 1, 1, BLOCK, BLOCK)
    kept = (cosine @ tiled @ cosine.T / table).round_() * table
    restored: Tensor = (cosine.T @ kept @ cosine + 128).round_().clamp_(0, 255)
    return restored.transpose(3, 4).flatten(4, 5).flatten(2, 3)[..., :height, :width]


def add_noise(film: Tensor, std: Tensor) -> Tensor:
    """Gaussian noise of a standard deviation in grey levels, equal in the colour channels; torch's global generator."""
    noise = torch.randn((len(film), 1, *film.shape[2:]), device=film.device, dtype=film.dtype)
    return (film + noise * std.to(film.dtype).view(-1, 1, 1, 1)).clamp_(0, 255)


def erase(film: Tensor, area: Tensor, aspect: Tensor, top: Tensor, left: Tensor) -> Tensor:
    """Paint a rectangle (area as a share of the film, aspect = width / height) in the film's mean."""
    height, width = (area / aspect).sqrt().clamp(max=1), (area * aspect).sqrt().clamp(max=1)
    rows = torch.linspace(0, 1, film.shape[2], device=film.device)
    columns = torch.linspace(0, 1, film.shape[3], device=film.device)
    top, left = (top * (1 - height))[:, None], (left * (1 - width))[:, None]
    inside_rows = (rows >= top) & (rows <= top + height[:, None])
    inside_columns = (columns >= left) & (columns <= left + width[:, None])
    inside = (inside_rows[:, :, None] & inside_columns[:, None, :])[:, None]
    return torch.where(inside, film.mean(dim=(1, 2, 3), keepdim=True), film)


def _cosines() -> Tensor:
    """The orthonormal discrete cosine transform of a block's side, (8, 8)."""
    frequency, place = torch.arange(BLOCK).double()[:, None], torch.arange(BLOCK).double()[None, :]
    waves = torch.cos(math.pi / BLOCK * (place + 0.5) * frequency) * math.sqrt(2 / BLOCK)
    waves[0] /= math.sqrt(2)
    return waves
