"""Near-duplicates across splits: the same film stored again, resized, cropped, mirrored or with other brightness.

The ranks of a thumbnail's grey levels, minus the coarse shading that all chests share, do not change under any monotone
change of brightness. Small integer descriptors of thumbnails, and of parts of them, find the candidates; aligning the
two thumbnails then measures their similarity.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from cxr.films.letterbox import Image
from cxr.films.manifest import SPLITS, Record
from cxr.ingest.film import SIDE

Ranks = np.ndarray[Any, np.dtype[np.float32]]
Scores = np.ndarray[Any, np.dtype[np.float32]]
Places = np.ndarray[Any, np.dtype[np.int64]]
Descriptors = np.ndarray[Any, np.dtype[np.int8]]

LIKELY = 0.035  # largest distance of a likely duplicate; measured by `python -m benchmarks.leakage`
# Descriptors and the search for candidates.
SQUARE = 16  # values along a descriptor's side
UNIT = 400  # integer that stands for 1 in a descriptor; sums of products stay exact in float32
MIN_SIMILARITY = 0.75  # smallest correlation of the descriptors of a candidate pair
CANDIDATES = 2  # candidates per film that are aligned
BLOCK = 2048  # films per side of a matrix product
# Parts of a film that a crop may have left: shares cut off at the top, the bottom, the left and the right.
WINDOWS = (
    (0.0, 0.0, 0.0, 0.0),
    (0.07, 0.07, 0.07, 0.07),
    (0.07, 0.07, 0.0, 0.0),
    (0.0, 0.0, 0.07, 0.07),
    (0.1, 0.0, 0.0, 0.0),
    (0.0, 0.1, 0.0, 0.0),
    (0.0, 0.0, 0.1, 0.0),
    (0.0, 0.0, 0.0, 0.1),
    (0.1, 0.0, 0.1, 0.0),
    (0.1, 0.0, 0.0, 0.1),
    (0.0, 0.1, 0.1, 0.0),
    (0.0, 0.1, 0.0, 0.1),
)
# (mirrored, window of the one film, window of the other): whole films, or one of them a part of the other.
WAYS = [
    (mirrored, *pair)
    for mirrored in (False, True)
    for pair in [
        (0, 0),
        *((0, part) for part in range(1, len(WINDOWS))),
        *((part, 0) for part in range(1, len(WINDOWS))),
    ]
]
# Alignment.
STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 15, 1e-4)
MIN_AREA, MAX_SHIFT = 0.4, 0.3  # least area of an aligned film, and largest shift, as shares of the other film


def descriptor(thumb: Image, window: int = 0) -> Descriptors:
    """(SQUARE * SQUARE,) of a part of a thumbnail; the dot product of two over UNIT squared is their correlation."""
    top, bottom, left, right = (round(share * SIDE) for share in WINDOWS[window])
    part = np.ascontiguousarray(thumb[top : SIDE - bottom, left : SIDE - right])
    small = np.asarray(cv2.resize(part, (SQUARE, SQUARE), interpolation=cv2.INTER_AREA), np.uint8)
    return np.clip(np.rint(_details(small) * UNIT), -127, 127).astype(np.int8).ravel()


def aligned_distance(part: Image, whole: Image, window: int) -> float:
    """1 minus the correlation of two thumbnails after `part` is aligned to `window` of `whole`; 0 to 1.

    Source: enhanced correlation coefficient, Evangelidis and Psarakis, IEEE TPAMI 30 (2008).
    """
    top, bottom, left, right = WINDOWS[window]
    start = np.array([[1 - left - right, 0, left * SIDE], [0, 1 - top - bottom, top * SIDE]], np.float32)
    try:
        similarity, warp = cv2.findTransformECC(
            _details(part), _details(whole), start, cv2.MOTION_AFFINE, STEPS, np.empty(0, np.uint8), 3
        )
    except cv2.error:  # the two do not overlap
        return 1.0
    if np.linalg.det(warp[:, :2]) < MIN_AREA or np.abs(warp[:, 2]).max() > MAX_SHIFT * SIDE:
        return 1.0
    return round(1 - max(0.0, float(similarity)), 3)


def _details(small: Image) -> Ranks:
    """The ranks of a square's grey levels minus their coarse part, with zero mean and unit norm; zeros if constant."""
    ranks = small.ravel().argsort(kind="stable").argsort(kind="stable").reshape(small.shape).astype(np.float32)
    fine = ranks - cv2.GaussianBlur(ranks, (0, 0), len(small) / 8)
    fine = np.round(fine.astype(np.float64), 3)
    fine -= fine.mean()
    norm = float(np.linalg.norm(fine))
    return np.asarray(fine / norm if norm > 0 and small.min() < small.max() else np.zeros_like(fine), np.float32)


@dataclass(frozen=True)
class Pair:
    """Two films of different splits that are likely duplicates."""

    one: Record
    other: Record
    distance: float  # 1 minus the correlation after alignment; 0 = identical
    mirrored: bool


def near_duplicates(records: Sequence[Record], thumbnails: Sequence[Image], threads: int) -> list[Pair]:
    """Pairs of likely duplicates across splits, most similar first; at most `CANDIDATES` per film and earlier splits.

    Args:
        records: the cohort, with splits.
        thumbnails: of the films, in the same order.
        threads: number of threads.
    """
    sides: dict[str, list[int]] = {split: [] for split in SPLITS}
    for index, record in enumerate(records):
        sides[record.split].append(index)
    # Each split is compared with all earlier ones: val with train, test with train and val.
    found: dict[tuple[int, int], tuple[float, bool]] = {}
    earlier: list[int] = list(sides[SPLITS[0]])
    if len(earlier) == len(records):
        return []
    table = _table(thumbnails)
    with ThreadPoolExecutor(threads) as pool:
        for split in SPLITS[1:]:
            jobs = list(_candidates(sides[split], earlier, thumbnails, table))
            distances = pool.map(lambda job: _distance(thumbnails[job[0]], thumbnails[job[1]], job[2]), jobs)
            for (one, other, way), distance in zip(jobs, distances, strict=True):
                if distance <= LIKELY:
                    found[one, other] = min((distance, WAYS[way][0]), found.get((one, other), (1.0, False)))
            earlier += sides[split]
    pairs = [Pair(records[one], records[other], *how) for (one, other), how in found.items()]
    return sorted(pairs, key=lambda pair: (pair.distance, pair.one.image_id, pair.other.image_id))


def _candidates(
    queries: list[int], others: list[int], thumbnails: Sequence[Image], table: Descriptors
) -> Iterator[tuple[int, int, int]]:
    """(query, other, way) of each query's most similar others."""
    for start in range(0, len(queries) if others else 0, BLOCK):
        block = queries[start : start + BLOCK]
        flipped = _table([_flipped(thumbnails[film], True) for film in block])
        films = {False: table[block].astype(np.float32), True: flipped.astype(np.float32)}
        rows: Places = np.zeros(0, np.int64)
        where, scores = rows, np.zeros(0, np.float32)
        for first in range(0, len(others), BLOCK):
            part = np.array(others[first : first + BLOCK], np.int64)
            best = _best_scores(films, table[part].astype(np.float32))
            row, column = np.nonzero(best >= MIN_SIMILARITY * UNIT**2)
            rows, where = np.hstack([rows, row]), np.hstack([where, part[column]])
            scores = np.hstack([scores, best[row, column]])
            kept = _most_similar(rows, scores)
            rows, where, scores = rows[kept], where[kept], scores[kept]
        ways = _best_ways(films, rows, table[where].astype(np.float32))
        for row, other, way in zip(rows, where, ways, strict=True):
            yield block[row], int(other), int(way)


def _best_scores(films: dict[bool, Scores], others: Scores) -> Scores:
    """(films, others): the best score of each film with each other one over all WAYS."""
    best = np.full((len(films[False]), len(others)), -np.inf, np.float32)
    for mirrored, one, other in WAYS:
        np.maximum(best, films[mirrored][:, one] @ others[:, other].T, out=best)
    return best


def _most_similar(rows: Places, scores: Scores) -> Places:
    """Indices of the CANDIDATES best entries of each row, row by row, best first."""
    order = np.lexsort((-scores, rows))
    begins = np.searchsorted(rows[order], rows[order])
    return np.asarray(order[np.arange(len(order)) - begins < CANDIDATES])


def _best_ways(films: dict[bool, Scores], rows: Places, others: Scores) -> Places:
    """The index in WAYS with the best score, for each film in `rows` and the other film beside it."""
    scores = [np.einsum("ij,ij->i", films[mirrored][rows, one], others[:, other]) for mirrored, one, other in WAYS]
    return np.asarray(np.argmax(scores, axis=0), np.int64)


def _table(thumbnails: Sequence[Image]) -> Descriptors:
    """The descriptors (films, windows, values) of thumbnails."""
    table = np.empty((len(thumbnails), len(WINDOWS), SQUARE * SQUARE), np.int8)
    for row, thumb in zip(table, thumbnails, strict=True):
        for window in range(len(WINDOWS)):
            row[window] = descriptor(thumb, window)
    return table


def _flipped(thumb: Image, mirrored: bool) -> Image:
    return np.asarray(cv2.flip(thumb, 1), np.uint8) if mirrored else thumb


def _distance(one: Image, other: Image, way: int) -> float:
    mirrored, window_of_one, window_of_other = WAYS[way]
    one = _flipped(one, mirrored)
    if window_of_one:
        return aligned_distance(other, one, window_of_one)
    return aligned_distance(one, other, window_of_other)
