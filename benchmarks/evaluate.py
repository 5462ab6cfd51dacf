"""Seconds for evaluating N test films, with validation films, baseline and intervals; and the bootstrap compared with a
loop of scikit-learn calls.

The first row has neither gallery nor occlusion tests. Films are noise of real size (224 px) and the network is the
default backbone with random weights, because speed does not depend on the content of the films.

    python -m benchmarks.evaluate
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from cxr.acquisition.statistics import GREY_STATISTICS
from cxr.core.config import load_section
from cxr.evaluate.config import EvaluateSection
from cxr.evaluate.evaluate import ResultPaths, evaluate
from cxr.evaluate.intervals import patient_weights, percentile_interval
from cxr.evaluate.metrics import weighted_auroc
from cxr.models.classifier import new_classifier
from cxr.npz.films import NpzFilm, NpzRow, encode_npz, read_index, write_index
from cxr.npz.preparation import Preparation, SegmentStep, Step, to_json
from cxr.runtime.compute import load_compute

CLASSES = ("normal", "pneumonia")
PREPARATION = Preparation(
    segment=SegmentStep(settings={}, code="", versions={}, lung_model=""),
    preprocess=Step(settings={}, code="", versions={}),
)
SPEC = to_json(PREPARATION)
EARLIER = {"data": {}, "segmentation": {"dice": None, "fallbacks": 0}}
LIMITS = {"without explanations": 60.0, "with 24 Grad-CAMs": 180.0}


def write_films(folder: Path, counts: dict[str, int]) -> None:
    """An NPZ set of noise films, two per patient, whose mask is a centred square."""
    random = np.random.default_rng(0)
    rows = []
    for split, count in counts.items():
        for number in range(count):
            name, label = f"{split}{number:05d}", int(number // 2 % 2)
            image = random.integers(0, 256, (224, 224, 4), dtype=np.uint8)
            image[..., 3] = 0
            image[40:180, 40:180, 3] = 255
            film = NpzFilm(
                image, label, name, f"{split}p{number // 2}", CLASSES, name, (0, 0, 224, 224), (224, 224), SPEC
            )
            path = folder / f"{name}.npz"
            path.write_bytes(encode_npz(film))
            rows.append(NpzRow(path.name, name, film.patient_id, split, CLASSES[label], CLASSES, name, {}))
    write_index(folder / "index.csv", rows)


def seconds(task: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def bootstrap_ratio(films: int, resamples: int) -> tuple[float, float]:
    """Seconds of the weighted bootstrap of one AUROC, and of resampling rows in a loop of scikit-learn calls."""
    random = np.random.default_rng(0)
    positive = (np.arange(films) // 2 % 2).astype(float)
    score = random.normal(positive, 1.0)
    patients = [str(number // 2) for number in range(films)]

    def ours() -> None:
        draws = [weighted_auroc(positive, score, weights) for weights in patient_weights(patients, resamples, 0)]
        percentile_interval(np.concatenate(draws))

    def peer() -> None:
        for _ in range(resamples):
            drawn = random.integers(0, films // 2, films // 2)
            rows = np.concatenate([drawn * 2, drawn * 2 + 1])
            roc_auc_score(positive[rows], score[rows])

    return seconds(ours), seconds(peer)


def acquisition(npz: Path) -> pd.DataFrame:
    """Random acquisition statistics of every film; their values do not affect the time."""
    names = [row.image_id for row in read_index(npz)]
    values = np.random.default_rng(0).normal(size=(len(names), len(GREY_STATISTICS)))
    return pd.DataFrame(values, columns=list(GREY_STATISTICS), index=names)


def main() -> None:
    """Print one line per measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--test", type=int, default=624, help="test films")
    parser.add_argument("--val", type=int, default=520, help="validation films")
    parser.add_argument("--train", type=int, default=4696, help="training films, which the baseline reads")
    options = parser.parse_args()
    ours, peer = bootstrap_ratio(options.test, 2000)
    print(
        f"bootstrap of one AUROC, 2000 resamples: {ours:.2f} s, scikit-learn loop {peer:.2f} s, ratio {peer / ours:.0f}"
    )
    with tempfile.TemporaryDirectory() as scratch:
        npz, out = Path(scratch) / "npz", Path(scratch) / "out"
        npz.mkdir()
        write_films(npz, {"train": options.train, "val": options.val, "test": options.test})
        classifier = new_classifier("tf_efficientnet_lite0", CLASSES, image_px=224).eval()
        classifier.facts["npz_spec"] = SPEC
        statistics = acquisition(npz)
        paths = ResultPaths(out, out / "plots", out / "pictures", out / "point.json")
        compute = load_compute().model_copy(update={"accelerator": "cpu"})
        for name, gallery in (("without explanations", 0), ("with 24 Grad-CAMs", 24)):
            changes = {"gallery_films": gallery, "shortcuts": bool(gallery)}
            section = load_section("evaluate", EvaluateSection).model_copy(update=changes)
            took = seconds(lambda: evaluate(classifier, npz, statistics, section, compute, EARLIER, paths))  # noqa: B023
            share = took / LIMITS[name]
            print(
                f"evaluate {options.test} films {name}: {took:.1f} s, {share:.0%} of the limit of {LIMITS[name]:.0f} s"
            )


if __name__ == "__main__":
    main()
