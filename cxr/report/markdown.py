"""The report as a pull-request comment: verdict, parameters, metrics, curves."""

from pathlib import Path

from cxr.report.comparison import Comparison
from cxr.report.revisions import Results, RunResults
from cxr.report.tables import calibration_rows, changes, headline_rows, markdown, predictive_rows, subgroup_table
from cxr.report.verdict import as_markdown

INTERVALS = "95 % CI over patients, for this trained model and threshold."


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
        head: the proposed revision.
        base: the revision to compare with; None where it has no results.
        found: the paired comparison, or the reason why there is none.
        images: title and file of each curve.
        folder: of the report; links are relative to it.
        warnings: about stale results.
    """
    parts = ["# Results", "", *(f"> **{warning}**\n" for warning in warnings)]
    if isinstance(found, str) or base is None:
        parts += [f"No comparison: {found}", ""]
    else:
        parts += [as_markdown(found, base.name, head.name), ""]
        parts += ["## Parameters", "", _changed(changes(base.params, head.params), "No parameter differs."), ""]
        other = changes(base.metrics, head.metrics)
        parts += ["## Headline metrics that differ", "", _folded(_changed(other, "None.")), ""]
    performance = head.details["performance"]
    parts += [f"## Metrics of {head.name}", "", INTERVALS, ""]
    parts += [markdown(["metric", "test", "validation"], headline_rows(performance)), ""]
    if calibration_rows(performance):
        parts += ["## Calibration", "", markdown(["metric", "value"], calibration_rows(performance)), ""]
        parts += ["## Predictive values", "", markdown(["prevalence", "PPV", "NPV"], predictive_rows(performance)), ""]
    parts += ["## Subgroups", "", _folded(markdown(*subgroup_table(head.details["subgroups"]))), ""]
    parts += ["## Curves", ""]
    parts += [f"![{title}]({path.relative_to(folder).as_posix()})" for title, path in images.items()]
    parts += [
        "",
        "`report.html` has the pictures of films, which stay out of this comment, and a threshold slider.",
        "",
    ]
    return "\n".join(parts)


def _changed(rows: list[list[str]], otherwise: str) -> str:
    return markdown(["name", "before", "after"], rows) if rows else otherwise


def _folded(text: str) -> str:
    return f"<details><summary>show</summary>\n\n{text}\n\n</details>"
