"""Is acting on the classifier better than acting on all people or on none (Vickers & Elkin 2006)?"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cxr.evaluate.arrays import Bools, Floats
from cxr.evaluate.intervals import Sample, leave_out_weights, share_interval, standard_error

DIGITS = 5
LOWEST = -0.1  # net benefits below are cut, so that the rest stays readable


def decision_curve_table(
    positive: Floats, probability: Floats, patients: Sequence[str], prevalence: float
) -> pd.DataFrame:
    """Net benefit over the threshold probability: `threshold`, one column a strategy, and the classifier's interval.

    Net benefit = sensitivity * prevalence - (1 - specificity) * (1 - prevalence) * odds of the threshold: true calls
    per person, after paying for the false ones. The reference strategies call everyone or no one. Intervals are
    pointwise, by combining those of sensitivity and specificity (MOVER, Zou & Donner 2008).

    Args:
        positive: 1 or 0, (films,).
        probability: calibrated, (films,).
        patients: of each film.
        prevalence: share of people with the finding where the classifier would be used.
    """
    grid = np.linspace(0.01, 0.99, 99)
    odds = grid / (1 - grid)
    called = (probability[:, None] >= grid).astype(np.float64)
    hit, hit_low, hit_high = _shares(called, positive == 1, patients)
    alarm, alarm_low, alarm_high = _shares(called, positive == 0, patients)
    gain, cost = prevalence, (1 - prevalence) * odds
    benefit = gain * hit - cost * alarm
    table = pd.DataFrame(
        {
            "threshold": grid,
            "classifier": benefit,
            "classifier_low": benefit - np.hypot(gain * (hit - hit_low), cost * (alarm_high - alarm)),
            "classifier_high": benefit + np.hypot(gain * (hit_high - hit), cost * (alarm - alarm_low)),
            "call_all": gain - cost,
            "call_none": 0.0,
        }
    )
    return table.clip(lower=LOWEST).round(DIGITS)


def _shares(called: Floats, chosen: Bools, patients: Sequence[str]) -> tuple[Floats, Floats, Floats]:
    """Share of the chosen films that are called at each threshold, and its interval; NaN without such films."""
    count = called.shape[1]
    if not chosen.any():
        return np.full(count, np.nan), np.full(count, np.nan), np.full(count, np.nan)
    own = [patient for patient, one in zip(patients, chosen, strict=True) if one]
    weights, films = leave_out_weights(own), called[chosen]
    share = films.mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        left_out = weights @ films / weights.sum(axis=1, keepdims=True)
    sample = Sample(len(set(own)), len(films))
    found = [share_interval(float(share[k]), standard_error(left_out[:, k]), sample) for k in range(count)]
    bounds = np.array([(np.nan, np.nan) if one is None else one for one in found])
    return share, bounds[:, 0], bounds[:, 1]
