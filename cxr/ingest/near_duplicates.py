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
from cxr.films.likeness import UNIT, WINDOWS, aligned_distance, descriptor
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
        scores, ways, where = (np.zeros((len(block), 0), kind) for kind in (np.float32, np.int64, np.int64))
        for first in range(0, len(others), BLOCK):
            part = others[first : first + BLOCK]
            best, way = _best_way(films, table[part].astype(np.float32))
            scores, ways = np.hstack([scores, best]), np.hstack([ways, way])
            where = np.hstack([where, np.broadcast_to(np.array(part), best.shape)])
            kept = np.argsort(-scores, axis=1, kind="stable")[:, :CANDIDATES]
            scores = np.take_along_axis(scores, kept, axis=1)
            ways, where = np.take_along_axis(ways, kept, axis=1), np.take_along_axis(where, kept, axis=1)
        for row, column in np.argwhere(scores >= MIN_LIKENESS * UNIT**2):
            yield block[row], int(where[row, column]), int(ways[row, column])


def _best_way(films: dict[bool, Numbers], others: Numbers) -> tuple[Numbers, Places]:
    """The best score of each film with each other, and in which of WAYS it is reached."""
    best = np.full((len(films[False]), len(others)), -np.inf, np.float32)
    ways = np.zeros(best.shape, np.int64)
    for index, (mirrored, one, other) in enumerate(WAYS):
        scores = films[mirrored][:, one] @ others[:, other].T
        np.copyto(ways, index, where=scores > best)
        np.maximum(best, scores, out=best)
    return best, ways


def _table(thumbnails: Sequence[Image]) -> Table:
    """The descriptors (films, windows, values) of thumbnails."""
    return np.stack([[descriptor(thumb, window) for window in range(len(WINDOWS))] for thumb in thumbnails])


def _turned(thumb: Image, mirrored: bool) -> Image:
    return np.asarray(cv2.flip(thumb, 1), np.uint8) if mirrored else thumb


def _distance(one: Image, other: Image, way: int) -> float:
    mirrored, window_of_one, window_of_other = WAYS[way]
    one = _turned(one, mirrored)
    if window_of_one:
        return aligned_distance(other, one, window_of_one)
    return aligned_distance(one, other, window_of_other)
