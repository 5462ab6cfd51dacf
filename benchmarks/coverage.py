"""Coverage of the 95 % CIs on simulated cohorts, for every metric of the evaluation.

Scores are binormal; patients have one to four films, whose scores share half of their variance; half of the patients
are ill. The calibrated probability is under-confident (slope 1 / 0.7), so calibration is imperfect. The true value is
the metric of 50,000 patients. A missing interval counts as a miss.

    python -m benchmarks.coverage                 # four regimes, some minutes on one core
    python -m benchmarks.coverage --repeats 100   # a quick look
"""

import argparse
import sys

import numpy as np
import pandas as pd
from scipy.stats import norm

from cxr.decision.operating_point import OperatingPoint
from cxr.evaluate.calibration import intercepts, line_block, predictive_value, predictive_value_block, slopes
from cxr.evaluate.intervals import Floats, percentile_interval, resampled
from cxr.evaluate.scored import Block, ScoredFilms

CLASSES = ("normal", "pneumonia")
POINT = OperatingPoint("", CLASSES, "fixed", 0.5, None, None, 1.0, "", "val", 1, 1)
REGIMES = ((34, 0.80), (34, 0.99), (200, 0.80), (200, 0.99))
SHARED, TIMID = 0.5, 0.7  # share of the variance common to the films of a patient; factor on the true logit
TRUTH_PATIENTS = 50_000


def cohort(random: np.random.Generator, patients: int, auroc: float) -> pd.DataFrame:
    """The table of predictions of a simulated cohort."""
    shift = np.sqrt(2) * norm.ppf(auroc)
    patient = np.repeat(np.arange(patients), random.integers(1, 5, patients))
    ill = (random.random(patients) < 0.5)[patient]
    score = shift * ill + random.normal(0, np.sqrt(SHARED), patients)[patient]
    score = score + random.normal(0, np.sqrt(1 - SHARED), len(patient))
    return pd.DataFrame(
        {
            "patient_id": patient.astype(str),
            "label": np.where(ill, CLASSES[1], CLASSES[0]),
            "logit": TIMID * shift * (score - shift / 2),
        }
    )


def block_of(table: pd.DataFrame) -> Block:
    """All metrics of a cohort, with intervals."""
    films = ScoredFilms(table, POINT)
    positive = films.label.astype(np.float64)
    block = films.with_intervals(tuple(name for name in films.task.metrics if name != "ece"))
    block |= line_block(positive, films.probability, films.logits, films.patients)
    return block | predictive_value_block(films, 0.1)


def truth(random: np.random.Generator, auroc: float) -> dict[str, float]:
    """The metrics of a very large cohort, as true values."""
    films = ScoredFilms(cohort(random, TRUTH_PATIENTS, auroc), POINT)
    positive, ones = films.label.astype(np.float64), np.ones((1, len(films.label)))
    metrics = films.point_estimates()
    found = {name: metrics[name] for name in films.task.metrics if name != "ece"}
    found["slope"] = float(slopes(positive, films.logits, ones)[0])
    found["intercept"] = float(intercepts(positive, films.logits, ones)[0])
    found["o_to_e"] = float(positive.sum() / films.probability.sum())
    s, c = metrics["sensitivity"], metrics["specificity"]
    found["ppv_at_10"], found["npv_at_10"] = predictive_value(s / (1 - c), 0.1), predictive_value(c / (1 - s), 0.9)
    return found


def percentiles(films: ScoredFilms, resamples: int = 500) -> tuple[float, float] | None:
    """The percentile bootstrap interval of the AUROC, the usual method, for comparison."""

    def auroc(weights: Floats) -> dict[str, Floats]:
        return {"auroc": films.measure(weights)["auroc"]}

    return percentile_interval(resampled(auroc, films.patients, resamples, 0)["auroc"])


def regime(patients: int, auroc: float, repeats: int) -> dict[str, tuple[float, float]]:
    """Coverage and mean width of each metric's interval."""
    random = np.random.default_rng(7)
    right = truth(random, auroc)
    held: dict[str, list[bool]] = {name: [] for name in (*right, "auroc, percentile bootstrap")}
    widths: dict[str, list[float]] = {name: [] for name in held}
    for repeat in range(repeats):
        table = cohort(random, patients, auroc)
        block = block_of(table)
        found = {name: (block.get(f"{name}_low"), block.get(f"{name}_high")) for name in right}
        if repeat < repeats // 4:  # slower, and known to be poor
            found["auroc, percentile bootstrap"] = percentiles(ScoredFilms(table, POINT)) or (None, None)
        for name, (low, high) in found.items():
            held[name].append(low is not None and high is not None and low <= right[name.split(",")[0]] <= high)
            widths[name] += [] if low is None or high is None else [high - low]
    return {name: (float(np.mean(held[name])), float(np.mean(widths[name]))) for name in held}


def main() -> None:
    """Print one row per metric and one column per regime: coverage, and in brackets the mean width."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1000, help="simulated cohorts of each regime")
    options = parser.parse_args()
    found = []
    for patients, auroc in REGIMES:
        found.append(regime(patients, auroc, options.repeats))
        print(f"{patients} patients, AUROC {auroc}: done", file=sys.stderr, flush=True)
    print("| metric | " + " | ".join(f"{patients} patients, AUROC {auroc:.2f}" for patients, auroc in REGIMES) + " |")
    print("|---|" + "---|" * len(REGIMES))
    for name in found[0]:
        cells = [f"{one[name][0]:.3f} ({one[name][1]:.2f})" for one in found]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
