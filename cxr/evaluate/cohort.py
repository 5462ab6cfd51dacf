"""Figures of the earlier stages, carried over into metrics that Git tracks: data and segmentation."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from cxr.core.errors import CxrError
from cxr.evaluate.summary import rounded
from cxr.segment.mask_table import read_mask_table

MASK_SCORES = ("dice", "iou", "hd95")


def data_figures(audit: Path) -> dict[str, Any]:
    """The audit of ingest as metrics: films and patients by split and class, quarantined, dropped."""
    try:
        return dict(json.loads(audit.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise CxrError(f"{audit}: no readable audit; run `dvc repro ingest` first") from error


def segment_figures(masks: Path) -> dict[str, Any]:
    """Lung segmentation: fallbacks and area of all films; Dice, IoU and HD95 where reference masks exist."""
    table = read_mask_table(masks)
    figures: dict[str, Any] = {
        "films": len(table),
        "fallbacks": int(table["fallback"].sum()),
        "area_mean": rounded(float(table["area"].mean())),
        "referenced": int(table["dice"].notna().sum()),
    }
    for name in MASK_SCORES:
        scores = table[name].dropna().to_numpy(np.float64)
        if len(scores) == 0:
            figures |= {name: None, f"{name}_reason": "the cohort has no reference masks"}
            continue
        figures[name] = rounded(float(scores.mean()))
        figures[f"{name}_worst_5_percent"] = rounded(float(np.quantile(scores, 0.95 if name == "hd95" else 0.05)))
    return figures
