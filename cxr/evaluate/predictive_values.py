"""PPV and NPV where a given share of the people have the finding: those of a test set mislead in a clinic."""

import numpy as np

from cxr.evaluate.intervals import Interval, likelihood_ratio_interval, standard_errors
from cxr.evaluate.measure import Block, Films, interval_entries, rounded

PREVALENCES = (0.05, 0.1, 0.2)


def predictive_value_block(films: Films, prevalence: float) -> Block:
    """`ppv_at_10`, `npv_at_10` … (percent) with intervals, at PREVALENCES and at one more prevalence.

    By Bayes' theorem from sensitivity and specificity; the interval follows from that of the likelihood ratio, as the
    two come of different films.
    """
    values, errors = films.plain(), standard_errors(films.measure, films.patients)
    s, c = Share(films, "sensitivity", values, errors), Share(films, "specificity", values, errors)
    block: Block = {}
    for share in sorted({*PREVALENCES, prevalence}):
        for name, right, other, called in (("ppv", s, c, share), ("npv", c, s, 1 - share)):
            title = f"{name}_at_{100 * share:g}"
            undefined = next((one.name for one in (s, c) if np.isnan(one.value)), None)
            if undefined is not None:
                block |= {title: None, f"{title}_reason": films.why_undefined(undefined)}
                continue
            ratio = right.value / (1 - other.value) if other.value < 1 else np.inf
            block[title] = rounded(predictive_value(ratio, called))
            block |= interval_entries(title, _interval(right, other, called))
    return block


class Share:
    """Sensitivity or specificity, with its interval."""

    def __init__(self, films: Films, name: str, values: dict[str, float], errors: dict[str, float]) -> None:
        self.name, self.value = name, values[name]
        self.interval = films.interval(name, values[name], errors[name])


def predictive_value(ratio: float, share: float) -> float:
    """Share of right calls where `share` of the people are of the called class and calls are `ratio` times likelier."""
    return 1.0 if np.isinf(ratio) else ratio * share / (ratio * share + 1 - share)


def _interval(right: Share, other: Share, called: float) -> Interval | None:
    if right.interval is None or other.interval is None:
        return None
    wrong = (1 - other.interval[1], 1 - other.interval[0])
    low, high = likelihood_ratio_interval(right.value, right.interval, 1 - other.value, wrong)
    return predictive_value(low, called), predictive_value(high, called)
