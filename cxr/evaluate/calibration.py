"""Calibration: slope and intercept, predictive values by prevalence."""

from collections.abc import Sequence

import numpy as np

from cxr.evaluate.intervals import (
    CELLS,
    Floats,
    Interval,
    Sample,
    leave_out_weights,
    likelihood_ratio_interval,
    plain_interval,
    ratio_interval,
    standard_error,
    standard_errors,
)
from cxr.evaluate.metrics import bin_members
from cxr.evaluate.scored import Block, ScoredFilms, interval_entries, rounded

STEPS, TOLERANCE = 50, 1e-10
DRAWS = 2000
PREVALENCES = (0.05, 0.1, 0.2)


def calibration_block(positive: Floats, probability: Floats, logit: Floats, patients: Sequence[str]) -> Block:
    """As `line_block`, with the ECE that perfectly calibrated probabilities have on these films."""
    mean, high = error_if_calibrated(probability)
    errors = {"ece_if_calibrated": rounded(mean), "ece_if_calibrated_high": rounded(high)}
    return line_block(positive, probability, logit, patients) | errors


def line_block(positive: Floats, probability: Floats, logit: Floats, patients: Sequence[str]) -> Block:
    """Slope, intercept and O:E with intervals over patients; nulls with reasons where they do not exist.

    Args:
        positive: 1 or 0, (films,).
        probability: calibrated, (films,).
        logit: of that probability, (films,).
        patients: of each film.
    """
    ones, left_out = np.ones((1, len(positive))), leave_out_weights(patients)
    sample = Sample(len(set(patients)), len(positive))
    metrics = {
        "slope": (slopes(positive, logit, ones)[0], slopes(positive, logit, left_out), plain_interval),
        "intercept": (intercepts(positive, logit, ones)[0], intercepts(positive, logit, left_out), plain_interval),
        "o_to_e": (
            (positive.sum() / probability.sum()),
            left_out @ positive / (left_out @ probability),
            ratio_interval,
        ),
    }
    block: Block = {}
    for name, (value, values, interval) in metrics.items():
        if not np.isfinite(value):
            one_class = len(np.unique(positive)) < 2
            reason = "films of one class only" if one_class else "the films are separated without error"
            block |= {name: None, f"{name}_reason": reason}
            continue
        block[name] = rounded(value)
        block |= interval_entries(name, interval(float(value), standard_error(values), sample))
    return block


def slopes(positive: Floats, logit: Floats, weights: Floats) -> Floats:
    """Calibration slope for each row of weights, by Newton's method; NaN where no finite slope is best."""
    line = np.zeros((len(weights), 2))  # intercept, slope
    design = np.stack([np.ones_like(logit), logit], axis=1)
    with np.errstate(all="ignore"):
        for _ in range(STEPS):
            p = _expit(line @ design.T)
            gradient = (weights * (positive - p)) @ design
            a, b, d = ((weights * p * (1 - p)) @ column for column in (design[:, 0], logit, logit**2))
            determinant = a * d - b * b
            step = np.stack([d * gradient[:, 0] - b * gradient[:, 1], a * gradient[:, 1] - b * gradient[:, 0]], axis=1)
            step /= determinant[:, None]
            line = line + np.clip(step, -1, 1)
            if np.nanmax(np.abs(step), initial=0.0) < TOLERANCE:
                break
    separated = (weights * np.abs(positive - p)).max(
        axis=1
    ) < 1e-6  # no error is left, so the slope has no finite optimum
    settled = (np.abs(step).max(axis=1) < 1e-6) & ~separated
    return np.where(settled, line[:, 1], np.nan)


def intercepts(positive: Floats, logit: Floats, weights: Floats) -> Floats:
    """Calibration in the large for each row of weights; NaN where only one class has weight."""
    shift = np.zeros(len(weights))
    with np.errstate(all="ignore"):
        for _ in range(STEPS):
            p = _expit(logit + shift[:, None])
            step = (weights * (positive - p)).sum(axis=1) / (weights * p * (1 - p)).sum(axis=1)
            shift = shift + np.clip(step, -1, 1)
            if np.nanmax(np.abs(step), initial=0.0) < TOLERANCE:
                break
    return np.where(np.abs(step) < 1e-6, shift, np.nan)


def error_if_calibrated(probability: Floats) -> tuple[float, float]:
    """Mean and 95th percentile of ECE if labels were drawn from these probabilities (Bröcker & Smith 2007)."""
    random, member = np.random.default_rng(0), bin_members(probability)
    rows, found = max(1, CELLS // len(probability)), []
    for start in range(0, DRAWS, rows):
        drawn = random.random((min(rows, DRAWS - start), len(probability))) < probability
        found.append(np.abs((probability - drawn) @ member).sum(axis=1) / len(probability))
    errors = np.concatenate(found)
    return float(errors.mean()), float(np.quantile(errors, 0.95))


def _expit(values: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -500, 500))))


def predictive_value_block(films: ScoredFilms, prevalence: float) -> Block:
    """`ppv_at_10`, `npv_at_10` … (percent) with intervals, at PREVALENCES and at one more prevalence.

    By Bayes' theorem from sensitivity and specificity. The interval follows from that of the likelihood ratio, because
    the two are measured on different films.
    """
    values, errors = films.point_estimates(), standard_errors(films.measure, films.patients)
    s, c = Share(films, "sensitivity", values, errors), Share(films, "specificity", values, errors)
    block: Block = {}
    for share in sorted({*PREVALENCES, prevalence}):
        for name, right, other, prior in (("ppv", s, c, share), ("npv", c, s, 1 - share)):
            title = f"{name}_at_{100 * share:g}"
            undefined = next((one.name for one in (s, c) if np.isnan(one.value)), None)
            if undefined is not None:
                block |= {title: None, f"{title}_reason": films.why_undefined(undefined)}
                continue
            ratio = right.value / (1 - other.value) if other.value < 1 else np.inf
            block[title] = rounded(predictive_value(ratio, prior))
            block |= interval_entries(title, _interval(right, other, prior))
    return block


class Share:
    """Sensitivity or specificity, with its interval."""

    def __init__(self, films: ScoredFilms, name: str, values: dict[str, float], errors: dict[str, float]) -> None:
        self.name, self.value = name, values[name]
        self.interval = films.interval(name, values[name], errors[name])


def predictive_value(ratio: float, share: float) -> float:
    """Share of correct predictions when `share` of the people have the class and `ratio` is its likelihood ratio."""
    return 1.0 if np.isinf(ratio) else ratio * share / (ratio * share + 1 - share)


def _interval(right: Share, other: Share, prior: float) -> Interval | None:
    if right.interval is None or other.interval is None:
        return None
    wrong = (1 - other.interval[1], 1 - other.interval[0])
    low, high = likelihood_ratio_interval(right.value, right.interval, 1 - other.value, wrong)
    return predictive_value(low, prior), predictive_value(high, prior)
