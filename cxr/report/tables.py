"""Tables for Markdown and HTML."""

import re
from collections.abc import Iterable
from html import escape
from typing import Any

Rows = list[list[str]]
NAMES = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "macro_auroc": "AUROC (macro)",
    "macro_auprc": "AUPRC (macro)",
    "precision": "precision (PPV)",
    "npv": "NPV",
    "f1": "F1",
    "macro_f1": "F1 (macro)",
    "micro_f1": "F1 (micro)",
    "mcc": "MCC",
    "youden": "Youden's index",
    "brier": "Brier score",
    "ece": "calibration error (ECE)",
    "log_loss": "log loss",
    "slope": "calibration slope",
    "intercept": "calibration intercept",
    "o_to_e": "observed / expected (O:E)",
    "ece_if_calibrated": "ECE of perfect probabilities on these films, mean",
    "ece_if_calibrated_high": "the same, 95th percentile",
}
BOUNDS = ("ece_if_calibrated_high",)  # ends like the upper bound of a CI, but is a metric
SUBGROUP_FIGURES = ("auroc", "sensitivity", "specificity", "accuracy", "macro_f1")


def title(name: str) -> str:
    """The display name of a metric."""
    stem = next((known for known in ("macro_auroc", "auroc") if name.startswith(known)), name)
    rest = name.removeprefix(stem)
    return NAMES.get(stem, stem.replace("_", " ")) + rest.replace("_", " ").replace("hog", "HOG")


def cell(block: dict[str, Any], name: str, digits: int = 3) -> str:
    """A metric with its 95 % CI, such as `0.912 [0.890, 0.931]`, or the reason why there is none."""
    value = block.get(name)
    if value is None:
        return f"– ({block.get(f'{name}_reason', 'not computed')})"
    low, high = block.get(f"{name}_low"), block.get(f"{name}_high")
    interval = "" if low is None or high is None else f" [{low:.{digits}f}, {high:.{digits}f}]"
    return f"{value:.{digits}f}{interval}"


def headline_rows(performance: dict[str, Any]) -> Rows:
    """Each metric with its interval, on test and on validation films; `performance` as in details/performance.json."""
    blocks = [performance["test"], performance["validation"]]
    names = [name[: -len("_low")] for name in blocks[1] if name.endswith("_low")]
    names += [name[: -len("_reason")] for name in blocks[1] if name.endswith("_reason")]
    sizes = ["films"] + [str(block["films"]) for block in blocks]
    return [
        sizes,
        *([title(n), *(cell(b, n) if b["films"] else "no films" for b in blocks)] for n in _known(names)),
    ]


def headline(performance: dict[str, Any]) -> str:
    """The main metric of the reported films, as one line."""
    sizes, main = headline_rows(performance)[:2]
    split = performance["reported_split"]
    column = 1 if split == "test" else 2
    return f"{main[0]} {main[column]} on {sizes[column]} {split} films"


def _known(names: Iterable[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if not name.endswith("_interval")]


def reported(performance: dict[str, Any]) -> dict[str, Any]:
    """The block of the reported films: test, or validation where there is no test set."""
    return dict(performance[performance["reported_split"]])


def calibration_rows(performance: dict[str, Any]) -> Rows:
    """Calibration of the reported films; empty for three or more classes."""
    block = reported(performance).get("calibration", {})
    return [[title(name), cell(block, name)] for name in _metrics(block)]


def predictive_rows(performance: dict[str, Any]) -> Rows:
    """Prevalence, PPV and NPV of the reported films; empty for three or more classes."""
    block = reported(performance).get("prevalence", {})
    percents = list(dict.fromkeys(name.rpartition("_")[2] for name in _metrics(block)))
    return [[f"{share} %", cell(block, f"ppv_at_{share}"), cell(block, f"npv_at_{share}")] for share in percents]


def _metrics(block: dict[str, Any]) -> list[str]:
    """The metrics of a block, without the names of bounds and reasons."""
    return [name for name in block if name not in BOUNDS and not name.endswith(("_low", "_reason", "_high"))] + [
        name for name in block if name in BOUNDS
    ]


def subgroup_table(subgroups: dict[str, Any]) -> tuple[list[str], Rows]:
    """Header and one row per value of a subgroup column; small groups share a row."""
    columns = {name: groups for name, groups in subgroups.items() if isinstance(groups, dict)}
    blocks = [block for groups in columns.values() for block in groups.values() if isinstance(block, dict)]
    names = [name for name in SUBGROUP_FIGURES if any(name in block for block in blocks)]
    rows = []
    for column, groups in columns.items():
        if "reason" in groups:
            rows.append([column, f"– ({groups['reason']})", "", *("" for _ in names), "", ""])
            continue
        for group, block in groups.items():
            if group == "too_small":
                small = ", ".join(f"{name} ({patients})" for name, patients in block.items())
                least = subgroups["patients_at_least"]
                rows.append([column, f"fewer than {least} patients: {small}", "", *("" for _ in names), "", ""])
                continue
            size = f"{block['films']} ({block['patients']})"
            p_value = block.get("difference_p_holm")
            against = [cell(block, "difference"), "–" if p_value is None else f"{p_value:.2f}"]
            rows.append([column, group, size, *(cell(block, n) for n in names), *against])
    return ["column", "value", "films (patients)", *map(title, names), "against the others", "p (Holm)"], rows


def flat(values: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted names; lists as text."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{path}{key}"
        found |= flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return found


def changes(before: dict[str, Any], after: dict[str, Any]) -> Rows:
    """Name, value before and value after of each difference."""
    a, b = flat(before), flat(after)
    return [
        [name, _text(a.get(name)), _text(b.get(name))] for name in sorted(set(a) | set(b)) if a.get(name) != b.get(name)
    ]


def _text(value: Any) -> str:
    if value is None:
        return "–"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def markdown(header: list[str], rows: Rows) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)])


def html(header: list[str], rows: Rows) -> str:
    """An HTML table that scrolls where the page is narrow; all text is escaped."""
    head = "".join(f"<th>{inline(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{inline(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def inline(text: str) -> str:
    """Text as HTML: escaped, with `code` between backticks."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


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
        [f"HOG baseline, {title(main)}", cell(hog, main), chance],
        ["gain over it", cell(hog, "gain"), "0"],
    ]


def _value(shortcuts: dict[str, Any], name: str) -> str:
    missing = shortcuts.get(f"{name}_missing")
    return cell(shortcuts, name) + (f" ({missing} films left out)" if missing else "")


def _chance(shortcuts: dict[str, Any], name: str) -> str:
    """The chance level of the check that the name begins with."""
    for known in (key.removesuffix("_chance") for key in shortcuts if key.endswith("_chance")):
        if name.startswith(known):
            return cell(shortcuts, f"{known}_chance", 3 if known == "lung_share" else 1)
    return ""
