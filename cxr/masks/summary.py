"""The masks of a cohort in a few figures."""

from pathlib import Path
from typing import Any

from cxr.masks.table import read_mask_table


def summarise_masks(masks_csv: Path) -> dict[str, Any]:
    """Films, mean area, fallbacks and, where films have reference masks, Dice, IoU and HD95.

    Areas are shares of the film, HD95 is in pixels of the 512 frame. Scores are of the masks as written, so that a
    fallback to the whole film counts against them.
    """
    table = read_mask_table(masks_csv)
    scored = table.dropna(subset=["dice"])
    figures: dict[str, Any] = {
        "films": len(table),
        "mean_area": round(float(table["area"].mean()), 4),
        "fallbacks": int(table["fallback"].sum()),
        "fallback_share": round(float(table["fallback"].mean()), 4),
        "films_with_reference": len(scored),
    }
    if len(scored):
        figures |= {name: round(float(scored[name].mean()), 4) for name in ("dice", "iou", "hd95")}
        figures |= {
            "dice_lowest": round(float(scored["dice"].min()), 4),
            "share_dice_under_90": round(float((scored["dice"] < 0.9).mean()), 4),
        }
    return figures
