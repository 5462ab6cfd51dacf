"""Films of different splits that are likely one film: stored again, resized, cropped, mirrored or relit.

The search compares whole-number descriptors by matrix products, in blocks: memory grows with the films (some 5 kB
each), not with the pairs.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from cxr.films.letterbox import Image
from cxr.films.likeness import SQUARE, UNIT, WINDOWS, aligned_distance, descriptor
from cxr.films.manifest import SPLITS, Record

LIKELY = 0.035  # distance up to which two films are likely one; `python -m benchmarks.leakage` measures it
MIN_LIKENESS = 0.75  # correlation of the descriptors from which two films are looked at closely
CANDIDATES = 2  # counterparts of each film that are looked at closely
BLOCK = 2048  # films on either side of a matrix product
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
Numbers = np.ndarray[Any, np.dtype[np.float32]]
Places = np.ndarray[Any, np.dtype[np.int64]]
Table = np.ndarray[Any, np.dtype[np.int8]]


@dataclass(frozen=True)
class Pair:
    """Two films of different splits that are likely one."""

    one: Record
    other: Record
    distance: float  # 1 minus the correlation after alignment; 0 = the same picture
    mirrored: bool


def near_duplicates(records: Sequence[Record], thumbnails: Sequence[Image], threads: int) -> list[Pair]:
    """Pairs of likely duplicates across splits, the most alike first; each film with its `CANDIDATES` likeliest others.

    Args:
        records: the cohort, with splits.
        thumbnails: of the films, in the same order.
        threads: at work at a time.
    """
    sides: dict[str, list[int]] = {split: [] for split in SPLITS}
    for index, record in enumerate(records):
        sides[record.split].append(index)
    # Each later split is looked up in all earlier ones: test in train and val, val in train.
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
    queries: list[int], others: list[int], thumbnails: Sequence[Image], table: Table
) -> Iterator[tuple[int, int, int]]:
    """(query, other, way) of each query's likeliest others."""
    for start in range(0, len(queries) if others else 0, BLOCK):
        block = queries[start : start + BLOCK]
        turned = _table([_turned(thumbnails[film], True) for film in block])
        films = {False: table[block].astype(np.float32), True: turned.astype(np.float32)}
        rows: Places = np.zeros(0, np.int64)
        where, scores = rows, np.zeros(0, np.float32)
        for first in range(0, len(others), BLOCK):
            part = np.array(others[first : first + BLOCK], np.int64)
            best = _best_scores(films, table[part].astype(np.float32))
            row, column = np.nonzero(best >= MIN_LIKENESS * UNIT**2)
            rows, where = np.hstack([rows, row]), np.hstack([where, part[column]])
            scores = np.hstack([scores, best[row, column]])
            kept = _likeliest(rows, scores)
            rows, where, scores = rows[kept], where[kept], scores[kept]
        ways = _best_ways(films, rows, table[where].astype(np.float32))
        for row, other, way in zip(rows, where, ways, strict=True):
            yield block[row], int(other), int(way)


def _best_scores(films: dict[bool, Numbers], others: Numbers) -> Numbers:
    """(films, others): the best score of each film with each other, whichever of WAYS it is reached in."""
    best = np.full((len(films[False]), len(others)), -np.inf, np.float32)
    for mirrored, one, other in WAYS:
        np.maximum(best, films[mirrored][:, one] @ others[:, other].T, out=best)
    return best


def _likeliest(rows: Places, scores: Numbers) -> Places:
    """Which entries are among the CANDIDATES best of their row, row by row and the best first."""
    order = np.lexsort((-scores, rows))
    begins = np.searchsorted(rows[order], rows[order])
    return np.asarray(order[np.arange(len(order)) - begins < CANDIDATES])


def _best_ways(films: dict[bool, Numbers], rows: Places, others: Numbers) -> Places:
    """In which of WAYS the film of each row is likest to the other beside it."""
    scores = [np.einsum("ij,ij->i", films[turned][rows, one], others[:, other]) for turned, one, other in WAYS]
    return np.asarray(np.argmax(scores, axis=0), np.int64)


def _table(thumbnails: Sequence[Image]) -> Table:
    """The descriptors (films, windows, values) of thumbnails."""
    table = np.empty((len(thumbnails), len(WINDOWS), SQUARE * SQUARE), np.int8)
    for row, thumb in zip(table, thumbnails, strict=True):
        for window in range(len(WINDOWS)):
            row[window] = descriptor(thumb, window)
    return table


def _turned(thumb: Image, mirrored: bool) -> Image:
    return np.asarray(cv2.flip(thumb, 1), np.uint8) if mirrored else thumb


def _distance(one: Image, other: Image, way: int) -> float:
    mirrored, window_of_one, window_of_other = WAYS[way]
    one = _turned(one, mirrored)
    if window_of_one:
        return aligned_distance(other, one, window_of_one)
    return aligned_distance(one, other, window_of_other)
