"""Contrast-limited adaptive histogram equalisation of a batch, on any device; the arithmetic of OpenCV's CLAHE."""

import torch
import torch.nn.functional as F
from torch import Tensor

TILES = 8
LEVELS = 256


def clahe(films: Tensor, clip_limit: float, tiles: int = TILES) -> Tensor:
    """Equalise each tile's histogram, clipped, and blend between tiles (Zuiderveld, Graphics Gems IV, 1994).

    Args:
        films: (N, C, H, W) on a 0 to 255 scale; each channel is treated by itself.
        clip_limit: largest bin as a multiple of the mean bin.
        tiles: a side.
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


def _tile_tables(levels: Tensor, clip_limit: float, tiles: int) -> Tensor:
    """Look-up table of each tile, (N, tiles, tiles, 256)."""
    n, _, height, width = levels.shape
    pixels = (height // tiles) * (width // tiles)
    tiled = levels.view(n, tiles, height // tiles, tiles, width // tiles).transpose(2, 3).reshape(-1, pixels)
    histogram = torch.zeros(len(tiled), LEVELS, device=levels.device)
    histogram.scatter_add_(1, tiled, torch.ones_like(tiled, dtype=histogram.dtype))
    limit = max(1, int(clip_limit * pixels / LEVELS))
    excess = (histogram - limit).clamp(min=0).sum(dim=1, keepdim=True)
    # What was clipped goes to all bins alike; the remainder, as OpenCV has it, to every step-th bin from the lowest.
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
