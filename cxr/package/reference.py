"""Reference data of a bundle: feature and acquisition distributions, and observed shares by probability."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from joblib import cpu_count

from cxr.acquisition.statistics import Floats, quantiles, with_size
from cxr.acquisition.table import read_acquisition
from cxr.bundle.config import Ood, ProbabilityBin
from cxr.bundle.network import Network
from cxr.bundle.reference import Array, Reference, fit_feature_space
from cxr.core.errors import CxrError
from cxr.decision.operating_point import OperatingPoint
from cxr.evaluate.table import LOGIT, labels, read_predictions, scores
from cxr.npz.films import NpzFilm, NpzRow, read_npz
from cxr.runtime.console import progress

BATCH = 16
MIN_FILMS = 2  # of each split, for a variance; few films give an imprecise threshold
EDGES = np.array([0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 1.0])  # narrow where a good classifier has most films


def fit_reference(
    network: Network, npz: Path, rows: list[NpzRow], acquisition: Path, quantile: float
) -> tuple[Reference, Ood]:
    """Score the training and validation films with the packed classifier.

    Args:
        network: the packed classifier.
        npz: folder of the NPZ set.
        rows: its index.
        acquisition: data/acquisition.csv.
        quantile: share of the validation films within the threshold.

    Raises:
        CxrError: there are too few films of either split, or a film has no acquisition statistics.
    """
    train, val = ([row for row in rows if row.split == split] for split in ("train", "val"))
    for name, films in (("train", train), ("val", val)):
        if len(films) < MIN_FILMS:
            raise CxrError(f"{npz}: {len(films)} films with split '{name}'; the package stage needs {MIN_FILMS}")
    features, sizes = measure(network, npz, train, "package: training films")
    space = fit_feature_space(features)
    distances = space.distance(measure(network, npz, val, "package: validation films")[0])
    threshold = threshold_of(distances, quantile)
    statistics = _statistics(acquisition, train, sizes)
    ood = Ood(threshold=threshold, quantile=quantile, films=len(val))
    return Reference(space, quantiles(statistics), len(train)), ood


def threshold_of(distances: Floats, quantile: float) -> float:
    """The quantile of the validation films' distances (films,), rounded up to the distance of a film."""
    return float(np.quantile(distances, quantile, method="higher"))


def measure(network: Network, npz: Path, rows: list[NpzRow], description: str) -> tuple[Array, list[tuple[int, int]]]:
    """Features (films, channels) and the size in pixels of some films."""
    features, sizes = [], []
    with ThreadPoolExecutor(cpu_count()) as pool:  # the network takes one film at a time, and releases Python's lock
        for films in batches(npz, rows, description):
            found = pool.map(network.score, [film.image[None] for film in films])
            features += [scored.features for scored in found]
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
    """The films of some rows, in batches."""
    films: list[NpzFilm] = []
    for row in progress(rows, len(rows), description):
        films.append(read_npz(npz / row.file))
        if len(films) == BATCH:
            yield films
            films = []
    if films:
        yield films


def probability_bins(predictions: Path, point: OperatingPoint) -> tuple[ProbabilityBin, ...]:
    """Films and findings of the validation set by calibrated probability; none for three or more classes.

    Raises:
        CxrError: the table of predictions is missing or has other classes.
    """
    if len(point.classes) > 2:
        return ()
    table = read_predictions(predictions)
    films = table[table["split"] == "val"]
    probability = point.probability(scores(films, LOGIT, point.classes))
    finding = labels(films, point.classes)
    member = np.minimum(np.searchsorted(EDGES, probability, side="right") - 1, len(EDGES) - 2)
    return tuple(
        ProbabilityBin(
            low=float(EDGES[at]),
            high=float(EDGES[at + 1]),
            films=int((member == at).sum()),
            findings=int(finding[member == at].sum()),
        )
        for at in range(len(EDGES) - 1)
    )
