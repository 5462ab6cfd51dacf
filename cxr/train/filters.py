"""Changes of grey levels without geometry: exposure and contrast, sharpness, resolution, noise, JPEG.

Films are float (N, C, H, W) on a 0 to 255 scale; strengths have one value per film. Kernels and tables, which need
double precision or decisions, are made on the CPU in the plan, so that no change waits for a GPU.
"""

import math
from collections.abc import Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

TILES = 8  # of CLAHE, per side
LEVELS = 256
BLOCK = 8  # side of a JPEG block
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
    """Shift by grey levels, stretch about the mean of the film, then raise to `gamma`."""
    mean = film.mean(dim=(1, 2, 3), keepdim=True)
    factor, shift, gamma = (value.view(-1, 1, 1, 1) for value in (contrast, brightness, gamma))
    unit = ((film - mean) * factor).add_(mean + shift).mul_(1 / 255).clamp_(0, 1)
    return unit.pow_(gamma).mul_(255)


def clahe(films: Tensor, clip_limit: float, tiles: int = TILES) -> Tensor:
    """Contrast-limited adaptive histogram equalisation (Zuiderveld, Graphics Gems IV, 1994), with OpenCV's arithmetic.

    Each tile's histogram is clipped and equalised; between tiles the results are blended.

    Args:
        films: (N, C, H, W) on a 0 to 255 scale; channels are processed independently.
        clip_limit: largest bin as a multiple of the mean bin.
        tiles: number per side.
    """
    height, width = films.shape[-2:]
    grey = films.reshape(-1, 1, height, width)
    padded = F.pad(grey, (0, -width % tiles, 0, -height % tiles), mode="reflect").round().long().clamp(0, LEVELS - 1)
    tables = _tile_tables(padded, clip_limit, tiles)
    side = padded.shape[2] // tiles, padded.shape[3] // tiles
    rows = _neighbours(height, side[0], tiles, films.device)
    columns = _neighbours(width, side[1], tiles, films.device)
    level = padded[:, 0, :height, :width]
    film = torch.arange(len(grey), device=films.device)[:, None, None]
    result = torch.zeros_like(level, dtype=films.dtype)
    for row, row_weight in rows:
        for column, column_weight in columns:
            looked_up = tables[film, row[:, None], column[None, :], level]
            result += looked_up * (row_weight[:, None] * column_weight[None, :])
    return result.round().view_as(films)


def gaussian_kernels(sigma: Tensor) -> Tensor:
    """Kernels (N, taps), float32, of Gaussian blurs with `sigma` (N,) pixels, as long as the widest one."""
    radius = max([1, *(math.ceil(3 * value) for value in sigma.tolist())])
    offset = torch.arange(-radius, radius + 1, dtype=sigma.dtype)
    kernel = torch.exp(-0.5 * (offset / sigma.view(-1, 1)) ** 2)
    return (kernel / kernel.sum(dim=1, keepdim=True)).float()


def blur(film: Tensor, kernels: Tensor) -> Tensor:
    """Blur with one kernel per film, along rows and columns."""
    radius = kernels.shape[1] // 2
    kernel = kernels.repeat_interleave(film.shape[1], dim=0)
    flat = film.reshape(1, -1, *film.shape[2:])
    flat = F.pad(flat, (radius, radius, radius, radius), mode="reflect")
    flat = F.conv2d(flat, kernel[:, None, None, :], groups=flat.shape[1])
    return F.conv2d(flat, kernel[:, None, :, None], groups=flat.shape[1]).view_as(film)


def sharpen(film: Tensor, amount: Tensor, kernels: Tensor) -> Tensor:
    """Unsharp masking: add `amount` times the difference from the blurred film."""
    return (film + amount.view(-1, 1, 1, 1) * (film - blur(film, kernels))).clamp_(0, 255)


def lower_resolution(film: Tensor, shares: Sequence[float]) -> Tensor:
    """Shrink each film to a share of its side and enlarge it again."""
    height, width = film.shape[-2:]
    lowered = []
    for one, keep in zip(torch.split(film, 1), shares, strict=True):
        small = F.interpolate(one, size=(max(8, round(height * keep)), max(8, round(width * keep))), mode="area")
        lowered.append(F.interpolate(small, size=(height, width), mode="bilinear", align_corners=False))
    return torch.cat(lowered)


def jpeg_tables(quality: Tensor) -> Tensor:
    """Quantisation tables (N, 8, 8), float32, of JPEG qualities (1 to 100), as libjpeg scales them."""
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality).view(-1, 1, 1)
    return ((torch.tensor(LUMINANCE) * scale + 50) / 100).floor().clamp(1, 255).float()


def jpeg(film: Tensor, tables: Tensor) -> Tensor:
    """Each channel after JPEG compression with one quantisation table per film."""
    height, width = film.shape[-2:]
    padded = F.pad(film, (0, -width % BLOCK, 0, -height % BLOCK), mode="replicate") - 128
    columns = torch.unflatten(padded, 3, (-1, BLOCK))
    tiled = torch.unflatten(columns, 2, (-1, BLOCK)).transpose(3, 4)  # (N, C, rows, columns, 8, 8)
    cosine, table = _cosines(film.device), tables.view(-1, 1, 1, 1, BLOCK, BLOCK)
    kept = (cosine @ tiled @ cosine.T / table).round_() * table
    restored: Tensor = (cosine.T @ kept @ cosine + 128).round_().clamp_(0, 255)
    return restored.transpose(3, 4).flatten(4, 5).flatten(2, 3)[..., :height, :width]


def add_noise(film: Tensor, std: Tensor) -> Tensor:
    """Gaussian noise with standard deviation `std` in grey levels, equal in all channels; torch's global generator."""
    noise = torch.randn((len(film), 1, *film.shape[2:]), device=film.device, dtype=film.dtype)
    return (film + noise * std.view(-1, 1, 1, 1)).clamp_(0, 255)


@cache
def _cosines(device: torch.device) -> Tensor:
    """The orthonormal discrete cosine transform of a block's side, (8, 8), float32."""
    frequency, place = torch.arange(BLOCK).double()[:, None], torch.arange(BLOCK).double()[None, :]
    waves = torch.cos(math.pi / BLOCK * (place + 0.5) * frequency) * math.sqrt(2 / BLOCK)
    waves[0] /= math.sqrt(2)
    return waves.float().to(device)


def _tile_tables(levels: Tensor, clip_limit: float, tiles: int) -> Tensor:
    """Look-up table of each tile, (N, tiles, tiles, 256)."""
    n, _, height, width = levels.shape
    pixels = (height // tiles) * (width // tiles)
    tiled = levels.view(n, tiles, height // tiles, tiles, width // tiles).transpose(2, 3).reshape(-1, pixels)
    histogram = torch.zeros(len(tiled), LEVELS, device=levels.device)
    histogram.scatter_add_(1, tiled, torch.ones_like(tiled, dtype=histogram.dtype))
    limit = max(1, int(clip_limit * pixels / LEVELS))
    excess = (histogram - limit).clamp(min=0).sum(dim=1, keepdim=True)
    # The clipped excess is distributed evenly; the remainder, as in OpenCV, goes to every step-th bin from the lowest.
    remainder = excess % LEVELS
    step = (LEVELS // remainder.clamp(min=1)).clamp(min=1)
    level = torch.arange(LEVELS, device=levels.device)
    extra = (level % step == 0) & (level // step < remainder)
    histogram = histogram.clamp(max=limit) + excess // LEVELS + extra
    table = (histogram.cumsum(dim=1) * ((LEVELS - 1) / pixels)).clamp(0, LEVELS - 1).round()
    return table.view(n, tiles, tiles, LEVELS)


def _neighbours(length: int, side: int, tiles: int, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """For each pixel along an axis, the two tiles about it and their weights."""
    place = torch.arange(length, device=device) / side - 0.5
    low = place.floor()
    weight = place - low
    first, second = low.long().clamp(0, tiles - 1), (low.long() + 1).clamp(0, tiles - 1)
    return [(first, 1 - weight), (second, weight)]
