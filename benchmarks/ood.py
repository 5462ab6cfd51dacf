"""How many held-out films of the own population are flagged as out of distribution, and how many of another one pass?

`--own` are films that set the threshold of the bundles, those of their validation set: patients are divided in halves
many times, and the threshold of one half flags films of the other. `--others` meet the threshold of all own films. No
other flag counts, and nothing is declared of a film; `--metadata` leaves out others younger than `--youngest`.

    python -m benchmarks.ood --bundle models/chest_xray --own children --others nih_adult/films --metadata labels.csv
"""

import argparse
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from cxr.bundle.population import NOTHING, age_in_years
from cxr.evaluate.intervals import Floats, Sample, leave_out_weights, share_interval, standard_error
from cxr.package.reference import threshold_of
from cxr.predict.inputs import NamedFilm, find_films, with_metadata
from cxr.predict.predictor import Predictor
from cxr.report.tables import markdown

BATCH = 16
HALVES = 1000
PATIENT = r"person\d+|NORMAL2-IM-\d+|IM-\d+|MCUCXR_\d+|^\d{8}"  # in the names of films; else each film is a patient


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ood", description=__doc__)
    parser.add_argument("--bundle", type=Path, nargs="+", required=True)
    parser.add_argument("--own", type=Path, required=True, help="folder of the bundles' validation films")
    parser.add_argument("--others", type=Path, nargs="+", required=True, help="folders of films of another population")
    parser.add_argument("--metadata", type=Path, help="table with columns path and age")
    parser.add_argument("--youngest", type=float, default=18, help="years (default: %(default)s)")
    parser.add_argument(
        "--quantile", type=float, default=0.95, help="share within the threshold (default: %(default)s)"
    )
    options = parser.parse_args()
    cv2.setNumThreads(1)
    own = find_films([str(options.own)])
    others = {folder: old_enough(folder, options.metadata, options.youngest) for folder in options.others}
    rows = []
    for bundle in options.bundle:
        predictor = Predictor.load(bundle)
        distances, patients = measured(predictor, own), patients_of(own)
        threshold = threshold_of(distances, options.quantile)
        flagged = halves(distances, patients, options.quantile)
        low, high = np.quantile(flagged, [0.025, 0.975])
        rows.append([str(bundle), options.own.name, str(len(own)), str(len(set(patients))), "flagged, held out",
                     f"{flagged.mean():.1%} [{low:.1%}, {high:.1%}]"])  # fmt: skip
        for folder, films in others.items():
            known = patients_of(films)
            passed = (measured(predictor, films) <= threshold).astype(np.float64)
            rows.append([str(bundle), f"{folder.parent.name}/{folder.name}", str(len(films)), str(len(set(known))),
                         "pass", share(passed, known)])  # fmt: skip
    print(markdown(["bundle", "films", "number", "patients", "what", f"threshold at {options.quantile:g}"], rows))


def old_enough(folder: Path, metadata: Path | None, youngest: float) -> list[NamedFilm]:
    """The films of a folder without those that a table declares as younger; their age is then forgotten."""
    films = find_films([str(folder)])
    if metadata is not None:
        films = with_metadata(films, metadata)
    ages = [age_in_years(film.declared.age) for film in films]
    return [
        replace(film, declared=NOTHING) for film, age in zip(films, ages, strict=True) if age is None or age >= youngest
    ]


def patients_of(films: list[NamedFilm]) -> list[str]:
    """The patient of each film, by its name."""
    names = [Path(film.address).stem for film in films]
    return [found[0] if (found := re.search(PATIENT, name)) else name for name in names]


def measured(predictor: Predictor, films: list[NamedFilm]) -> Floats:
    """Feature distance of each film, (films,)."""
    found: list[float] = []
    for start in range(0, len(films), BATCH):
        answers = predictor.answer([predictor.prepare(film.read()) for film in films[start : start + BATCH]])
        found += [one.distance * predictor.config.ood.threshold for one in answers]
    return np.array(found)


def halves(distances: Floats, patients: list[str], quantile: float) -> Floats:
    """Share of flagged films of one half of the patients by the threshold of the other half, (HALVES,)."""
    names, member = np.unique(patients, return_inverse=True)
    rng, shares = np.random.default_rng(0), []
    for _ in range(HALVES):
        first = (rng.permutation(len(names)) < len(names) / 2)[member]
        shares.append(np.mean(distances[~first] > threshold_of(distances[first], quantile)))
    return np.array(shares)


def share(values: Floats, patients: list[str]) -> str:
    """A share of films with its 95 % CI over patients."""
    weights, value = leave_out_weights(patients), float(np.mean(values))
    error = standard_error(weights @ values / weights.sum(axis=1))
    found = share_interval(value, error, Sample(len(set(patients)), len(values)))
    return f"{value:.1%}" + (f" [{found[0]:.1%}, {found[1]:.1%}]" if found else "")


if __name__ == "__main__":
    main()
