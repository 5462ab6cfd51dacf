"""Metrics, parameters and differences as rows of text, for Markdown, HTML and the model card."""

from collections.abc import Iterable
from html import escape
from typing import Any

Rows = list[list[str]]
NAMES = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "macro_auroc": "AUROC (macro)",
    "macro_auprc": "AUPRC (macro)",
    "recall": "sensitivity (recall)",
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
}


SUBGROUP_FIGURES = ("auroc", "recall", "specificity", "accuracy", "macro_f1")


def title(name: str) -> str:
    """A figure's name as people write it."""
    stem = next((known for known in ("macro_auroc", "auroc") if name.startswith(known)), name)
    rest = name.removeprefix(stem)
    return NAMES.get(stem, stem.replace("_", " ")) + rest.replace("_", " ")


def figure(block: dict[str, Any], name: str, digits: int = 3) -> str:
    """A figure with its interval, such as `0.912 [0.890, 0.931]`, or why there is none."""
    value = block.get(name)
    if value is None:
        return f"– ({block.get(f'{name}_reason', 'not computed')})"
    low, high = block.get(f"{name}_low"), block.get(f"{name}_high")
    interval = "" if low is None or high is None else f" [{low:.{digits}f}, {high:.{digits}f}]"
    return f"{value:.{digits}f}{interval}"


def headline_rows(metrics: dict[str, Any]) -> Rows:
    """Each figure with its interval, on test and on validation films."""
    blocks = [metrics["test"], metrics["validation"]]
    names = [name[: -len("_low")] for name in blocks[1] if name.endswith("_low")]
    names += [name[: -len("_reason")] for name in blocks[1] if name.endswith("_reason")]
    sizes = ["films"] + [str(block["films"]) for block in blocks]
    return [sizes, *([title(n), *(figure(b, n) if b["films"] else "no films" for b in blocks)] for n in _known(names))]


def _known(names: Iterable[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if not name.endswith("_interval")]


def subgroup_table(subgroups: dict[str, Any]) -> tuple[list[str], Rows]:
    """Header and one row a value of a subgroup column."""
    columns = {name: groups for name, groups in subgroups.items() if isinstance(groups, dict)}
    blocks = [block for groups in columns.values() if "reason" not in groups for block in groups.values()]
    names = [name for name in SUBGROUP_FIGURES if any(name in block for block in blocks)]
    rows = []
    for column, groups in columns.items():
        if "reason" in groups:
            rows.append([column, f"– ({groups['reason']})", "", *("" for _ in names)])
            continue
        for group, block in groups.items():
            rows.append([column, group, f"{block['films']} ({block['patients']})", *(figure(block, n) for n in names)])
    return ["column", "value", "films (patients)", *map(title, names)], rows


def flat(values: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted names; lists as text."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{path}{key}"
        found |= flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return found


def changes(before: dict[str, Any], after: dict[str, Any]) -> Rows:
    """Name, value before and value after of all that differs."""
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
    """An HTML table; all text is escaped."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
