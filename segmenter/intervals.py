"""Figures of a data set with 95 % intervals: whole patients are drawn again, because films of one patient are alike."""

import numpy as np
import pandas as pd

FIGURES = ("dice", "iou", "hd95", "recall", "precision", "share_under_90", "share_under_80")


def dataset_figures(scores: pd.DataFrame, resamples: int, seed: int) -> dict[str, float]:
    """Means with `_low` and `_high`, the lowest Dice, and the counts.

    Args:
        scores: one row a film: patient, dice, iou, hd95, recall, precision, fallback.
        resamples: of the patients, with replacement (percentile bootstrap).
        seed: of the resampling.
    """
    films = scores.assign(share_under_90=scores["dice"] < 0.9, share_under_80=scores["dice"] < 0.8)
    by_patient = films.groupby("patient", sort=True)
    sums = by_patient[list(FIGURES)].sum().to_numpy(float)
    counts = by_patient.size().to_numpy(float)
    draws = np.random.default_rng(seed).multinomial(len(counts), np.full(len(counts), 1 / len(counts)), resamples)
    means = (draws @ sums) / (draws @ counts)[:, None]
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    figures: dict[str, float] = {"films": len(films), "patients": len(counts)}
    for at, name in enumerate(FIGURES):
        mean = float(sums[:, at].sum() / counts.sum())
        figures |= {name: round(mean, 4), f"{name}_low": round(low[at], 4), f"{name}_high": round(high[at], 4)}
    return figures | {
        "dice_median": round(float(films["dice"].median()), 4),
        "dice_lowest": round(float(films["dice"].min()), 4),
        "fallbacks": int(films["fallback"].sum()),
    }
