"""A film with the look of another one: its grey levels and its sharpness, as `cxr.preprocess.perturb` swaps them.

Where normal and ill films were taken differently, a network trained on them as they are learns the difference. Films
that take the look of any other film of their batch, of either class, hold it no more. Films are float (N, C, H, W) on a
0 to 255 scale; `inside` (N, 1, H, W) is false in the black bars beside a film.
"""

import torch
from torch import Tensor

from cxr.train.filters import blur

LEVELS = 256
SIGMAS = (1.0, 2.0, 4.0)  # pixels; the bands of detail lie between them
GAIN = 3.0  # largest change of a band's amplitude, either way


def match(film: Tensor, inside: Tensor, other: Tensor, inside_other: Tensor) -> Tensor:
    """Each film with the histogram and the amplitudes of fine detail of the film at its place in `other`."""
    film = match_levels(film, inside, other, inside_other)
    matched = film
    for own, wanted in zip(_bands(film), _bands(other), strict=True):
        gain = (_amplitude(wanted, inside_other) / _amplitude(own, inside)).clamp(1 / GAIN, GAIN)
        matched = matched + (gain - 1) * own
    return matched.clamp(0, 255)


def match_levels(film: Tensor, inside: Tensor, other: Tensor, inside_other: Tensor) -> Tensor:
    """Histogram matching in whole grey levels: each level becomes the one that as many pixels do not exceed."""
    level, share = _levels(film, inside)
    _, wanted = _levels(other, inside_other)
    table = torch.searchsorted(wanted, share).clamp(max=LEVELS - 1)
    return table.gather(1, level).to(film.dtype).view_as(film)


def _levels(film: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Grey level of each pixel (N C, H W), and the share of the pixels inside that do not exceed a level (N C, 256)."""
    level = film.round().clamp(0, LEVELS - 1).long().flatten(2).flatten(0, 1)
    counted = inside.expand_as(film).long().flatten(2).flatten(0, 1)
    count = torch.zeros((len(level), LEVELS), dtype=torch.long, device=film.device).scatter_add_(1, level, counted)
    return level, count.cumsum(1).double() / counted.sum(1, keepdim=True).clamp(min=1)


def _bands(film: Tensor) -> list[Tensor]:
    """What each blur takes away, from fine to coarse."""
    bands, finer = [], film
    for sigma in SIGMAS:
        coarser = blur(film, torch.full((len(film),), sigma, dtype=torch.double, device=film.device))
        bands.append(finer - coarser)
        finer = coarser
    return bands


def _amplitude(band: Tensor, inside: Tensor) -> Tensor:
    """Root mean square inside, (N, C, 1, 1), of at least a tenth of a grey level."""
    power = (band * band * inside).sum((2, 3), keepdim=True) / inside.sum((2, 3), keepdim=True).clamp(min=1)
    return power.sqrt().clamp(min=0.1)
