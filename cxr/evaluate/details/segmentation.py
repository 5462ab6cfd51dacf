"""metrics/details/segmentation.json: how the lungs were found."""

from pathlib import Path

import numpy as np

from cxr.evaluate.measure import Block, rounded
from cxr.segment.mask_table import read_mask_table

MASK_SCORES = ("dice", "iou", "hd95")


def segmentation_details(masks: Path) -> Block:
    """Fallbacks, quality and area of all films; Dice, IoU and HD95 where reference masks exist."""
    table = read_mask_table(masks)
    figures: Block = {
        "films": len(table),
        "fallbacks": int(table["fallback"].sum()),
        "quality_mean": rounded(float(table["quality"].mean())),
        "quality_worst_5_percent": rounded(float(table["quality"].quantile(0.05))),
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
