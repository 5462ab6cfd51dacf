"""Shortcut checks and baselines as rows of text."""

from typing import Any

from cxr.report.tables import Rows, figure, title


def check_rows(metrics: dict[str, Any]) -> Rows:
    """Name and value of each check, with the gain over the HOG baseline last."""
    shortcuts, hog = metrics["shortcuts"], metrics["baselines"]["hog_logistic"]
    names = [name for name in shortcuts if not name.endswith(("_low", "_high", "_reason"))]
    rows = [[title(name), figure(shortcuts, name)] for name in names]
    if "reason" in hog:
        return [*rows, ["HOG baseline", hog["reason"]]]
    main = next(iter(hog))
    return [*rows, [f"HOG baseline, {title(main)}", figure(hog, main)], ["gain over it", figure(hog, "gain")]]
