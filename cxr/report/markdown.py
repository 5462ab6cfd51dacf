"""The report as a pull-request comment: verdict, parameters, figures, curves."""

from pathlib import Path

from cxr.report.comparison import Comparison
from cxr.report.revisions import Results, RunResults
from cxr.report.tables import calibration_rows, changes, headline_rows, markdown, predictive_rows, subgroup_table
from cxr.report.verdict import as_markdown

INTERVALS = "95 % intervals over patients, given this trained model and threshold."


def report_markdown(
    head: Results,
    base: RunResults | None,
    found: Comparison | str,
    images: dict[str, Path],
    folder: Path,
    warnings: list[str],
) -> str:
    """The text of report.md.

    Args:
        head: the revision that is proposed.
        base: the one it is measured against; None where it has no results.
        found: the paired comparison, or why there is none.
        images: title and file of each curve.
        folder: where the report lies; links are relative to it.
        warnings: what does not belong together.
    """
    parts = ["# Results", "", *(f"> **{warning}**\n" for warning in warnings)]
    if isinstance(found, str) or base is None:
        parts += [f"No comparison: {found}", ""]
    else:
        parts += [as_markdown(found, base.name, head.name), ""]
        parts += ["## Parameters", "", _changed(changes(base.params, head.params), "No parameter differs."), ""]
        other = changes(base.metrics, head.metrics)
        parts += ["## Headline figures that differ", "", _folded(_changed(other, "None.")), ""]
    figures = head.details["performance"]
    parts += [f"## Figures of {head.name}", "", INTERVALS, ""]
    parts += [markdown(["figure", "test", "validation"], headline_rows(figures)), ""]
    if calibration_rows(figures):
        parts += ["## Calibration", "", markdown(["figure", "value"], calibration_rows(figures)), ""]
        parts += ["## Predictive values", "", markdown(["prevalence", "PPV", "NPV"], predictive_rows(figures)), ""]
    parts += ["## Subgroups", "", _folded(markdown(*subgroup_table(head.details["subgroups"]))), ""]
    parts += ["## Curves", ""]
    parts += [f"![{title}]({path.relative_to(folder).as_posix()})" for title, path in images.items()]
    parts += ["", "Film pictures stay out of the comment; `report.html` holds them, and a threshold slider.", ""]
    return "\n".join(parts)


def _changed(rows: list[list[str]], otherwise: str) -> str:
    return markdown(["name", "before", "after"], rows) if rows else otherwise


def _folded(text: str) -> str:
    return f"<details><summary>show</summary>\n\n{text}\n\n</details>"
