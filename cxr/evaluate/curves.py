"""The tables behind the plots: small CSVs that `dvc plots` draws and overlays between revisions."""

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_curve, roc_curve

from cxr.evaluate.arrays import Floats
from cxr.evaluate.calibration import reliability_table
from cxr.evaluate.threshold import threshold_table

MAX_POINTS = 400  # of a curve; more cannot be seen and swell the diff
DIGITS = 5


def roc_table(positive: Floats, score: Floats) -> pd.DataFrame:
    """Sensitivity over false positive rate: `fpr`, `tpr`."""
    fpr, tpr, _ = roc_curve(positive, score)
    return _thinned(pd.DataFrame({"fpr": fpr, "tpr": tpr}))


def pr_table(positive: Floats, score: Floats) -> pd.DataFrame:
    """Precision over recall, ascending in recall: `recall`, `precision`."""
    precision, recall, _ = precision_recall_curve(positive, score)
    return _thinned(pd.DataFrame({"recall": recall[::-1], "precision": precision[::-1]}))


def thresholds_table(positive: Floats, probability: Floats) -> pd.DataFrame:
    """Figures over the threshold: `threshold`, `sensitivity`, `specificity`, `f1`."""
    return pd.DataFrame(threshold_table(positive, probability)).round(DIGITS)


def reliability(positive: Floats, probability: Floats) -> pd.DataFrame:
    """Observed share over mean predicted probability in ten bins: `predicted`, `observed`, `films`."""
    return reliability_table(positive, probability).round(DIGITS)


def histogram_table(positive: Floats, probability: Floats, bins: int = 20) -> pd.DataFrame:
    """Films by probability and reference: `probability` (centre of the bin), `negative`, `positive` (films)."""
    edges = np.linspace(0, 1, bins + 1)
    return pd.DataFrame(
        {
            "probability": ((edges[:-1] + edges[1:]) / 2).round(DIGITS),
            "negative": np.histogram(probability[positive == 0], edges)[0],
            "positive": np.histogram(probability[positive == 1], edges)[0],
        }
    )


def confusion_table(label: list[str], decision: list[str]) -> pd.DataFrame:
    """One row a film: `actual`, `predicted`; DVC's confusion templates count them."""
    return pd.DataFrame({"actual": label, "predicted": decision}).sort_values(["actual", "predicted"])


def _thinned(curve: pd.DataFrame) -> pd.DataFrame:
    """At most MAX_POINTS rows, both ends kept, rounded."""
    if len(curve) > MAX_POINTS:
        keep = np.unique(np.linspace(0, len(curve) - 1, MAX_POINTS).round().astype(int))
        curve = curve.iloc[keep]
    return curve.round(DIGITS).drop_duplicates()
