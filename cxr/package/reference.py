"""What the bundle remembers of its films: the training films' feature space, and the limit of the familiar."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cxr.bundle.acquisition import Floats, quantiles, with_size
from cxr.bundle.config import Familiar
from cxr.bundle.familiarity import Array, fit_familiarity
from cxr.bundle.network import Network
from cxr.bundle.reference import Reference
from cxr.console.progress import progress
from cxr.core.errors import CxrError
from cxr.films.acquisition_table import read_acquisition
from cxr.npz.npz_set import NpzFilm, NpzRow, read_npz

BATCH = 16
MIN_FILMS = 2  # of each split, without which nothing varies; few films make a limit that says little


def remember(
    network: Network, npz: Path, rows: list[NpzRow], acquisition: Path, share: float
) -> tuple[Reference, Familiar]:
    """Run the training and validation films through the packed classifier.

    Args:
        network: the packed classifier.
        npz: folder of the NPZ set.
        rows: its index.
        acquisition: data/acquisition.csv.
        share: of the validation films that count as familiar.

    Raises:
        CxrError: there are too few films of either split, or a film has no acquisition statistics.
    """
    train, val = ([row for row in rows if row.split == split] for split in ("train", "val"))
    for name, films in (("train", train), ("val", val)):
        if len(films) < MIN_FILMS:
            raise CxrError(f"{npz}: {len(films)} films with split '{name}'; the package stage needs {MIN_FILMS}")
    features, sizes = measure(network, npz, train, "package: training films")
    space = fit_familiarity(features)
    distances = space.distance(measure(network, npz, val, "package: validation films")[0])
    limit = float(np.quantile(distances, share, method="higher"))
    statistics = _statistics(acquisition, train, sizes)
    return Reference(space, quantiles(statistics), len(train)), Familiar(limit=limit, share=share, films=len(val))


def measure(network: Network, npz: Path, rows: list[NpzRow], description: str) -> tuple[Array, list[tuple[int, int]]]:
    """Features (films, channels) and the size in pixels of some films."""
    features, sizes = [], []
    for films in batches(npz, rows, description):
        features.append(network.score(np.stack([film.image for film in films])).features)
        sizes += [film.film_size for film in films]
    return np.concatenate(features), sizes


def _statistics(acquisition: Path, rows: list[NpzRow], sizes: list[tuple[int, int]]) -> list[Floats]:
    table = read_acquisition(acquisition)
    missing = [row.image_id for row in rows if row.image_id not in table.index]
    if missing:
        raise CxrError(f"{acquisition}: no film {missing[0]}; run `dvc repro ingest` again")
    values = table.loc[[row.image_id for row in rows]].to_numpy(np.float64)
    return [with_size(size, one) for size, one in zip(sizes, values, strict=True)]


def batches(npz: Path, rows: list[NpzRow], description: str) -> Iterator[list[NpzFilm]]:
    """The films of some rows, some at a time."""
    films: list[NpzFilm] = []
    for row in progress(rows, len(rows), description):
        films.append(read_npz(npz / row.file))
        if len(films) == BATCH:
            yield films
            films = []
    if films:
        yield films
