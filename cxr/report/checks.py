"""Shortcut checks and baselines as rows of text."""

from typing import Any

from cxr.report.tables import Rows, figure, title


def check_rows(checks: dict[str, Any]) -> Rows:
    """Name, value and chance level of each check, with the gain over the HOG baseline last."""
    shortcuts, hog = checks["shortcuts"], checks["baselines"]["hog_logistic"]
    hidden = ("_low", "_high", "_reason", "_chance", "_missing")
    names = [name for name in shortcuts if not name.endswith(hidden)]
    rows = [[title(name), _value(shortcuts, name), _chance(shortcuts, name)] for name in names]
    if "reason" in hog:
        return [*rows, ["HOG baseline", hog["reason"], ""]]
    main = next(iter(hog))
    chance = _chance(shortcuts, main)
    return [
        *rows,
        [f"HOG baseline, {title(main)}", figure(hog, main), chance],
        ["gain over it", figure(hog, "gain"), "0"],
    ]


def _value(shortcuts: dict[str, Any], name: str) -> str:
    missing = shortcuts.get(f"{name}_missing")
    return figure(shortcuts, name) + (f" ({missing} films left out)" if missing else "")


def _chance(shortcuts: dict[str, Any], name: str) -> str:
    """The level of the check whose name this name begins with."""
    for known in (key.removesuffix("_chance") for key in shortcuts if key.endswith("_chance")):
        if name.startswith(known):
            return figure(shortcuts, f"{known}_chance", 3 if known == "lung_share" else 1)
    return ""
