"""Frozen figures and drift as text."""

from typing import Any

from cxr.report.tables import Rows, figure, markdown, title


def figures_text(figures: dict[str, Any]) -> str:
    """A table: each figure with its interval, of all films and of those that were not doubted."""
    blocks = [block for block in figures.values() if block["films"]]
    names = [name.removesuffix("_low") for name in blocks[0] if name.endswith("_low")]
    header = ["figure, as stored: nothing fitted", *(f"{name}, {figures[name]['films']} films" for name in figures)]
    rows: Rows = [[title(name), *(figure(block, name) for block in figures.values())] for name in names]
    if "counts" in blocks[0] and "tp" in blocks[0]["counts"]:
        rows.append(["TP / FP / FN / TN", *(_counts(block) for block in figures.values())])
    return markdown(header, rows)


def drift_text(drift: dict[str, dict[str, float]]) -> str:
    """A table: each statistic of the films against the training films."""
    header = ["input", "training, median", "here, median", "outside the training range", "KS distance"]
    rows = [
        [name, f"{one['training_median']:.3g}", f"{one['median']:.3g}", f"{one['outside']:.0%}", f"{one['ks']:.2f}"]
        for name, one in drift.items()
    ]
    return markdown(header, rows)


def _counts(block: dict[str, Any]) -> str:
    return " / ".join(str(block["counts"][name]) for name in ("tp", "fp", "fn", "tn")) if block["films"] else "no films"
