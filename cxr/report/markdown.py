"""The report as a pull-request comment: verdict, parameters, figures, curves."""

from pathlib import Path

from cxr.evaluate.paired import Comparison
from cxr.report.comparison import as_markdown
from cxr.report.revisions import Results
from cxr.report.tables import changes, headline_rows, markdown, subgroup_table

# Compared film by film in the table above these; repeating them here would bury the rest.
PAIRED = ("test.", "validation.")


def report_markdown(
    head: Results, base: Results | None, found: Comparison | str, images: dict[str, Path], folder: Path
) -> str:
    """The text of report.md.

    Args:
        head: the revision that is proposed.
        base: the one it is measured against; None where it has no results.
        found: the paired comparison, or why there is none.
        images: title and file of each curve.
        folder: where the report lies; links are relative to it.
    """
    parts = ["# Results", ""]
    if isinstance(found, str) or base is None:
        parts += [f"No comparison: {found}", ""]
    else:
        parts += [as_markdown(found, base.name, head.name), ""]
        parts += ["## Parameters", "", _changed(changes(base.params, head.params), "No parameter differs."), ""]
        other = [row for row in changes(base.metrics, head.metrics) if not row[0].startswith(PAIRED)]
        parts += ["## Other metrics that differ", "", _folded(_changed(other, "None.")), ""]
    parts += [f"## Figures of {head.name}", "", "95 % intervals over patients, at the operating point.", ""]
    parts += [markdown(["figure", "test", "validation"], headline_rows(head.metrics)), ""]
    parts += ["## Subgroups", "", _folded(markdown(*subgroup_table(head.subgroups))), ""]
    parts += ["## Curves", ""]
    parts += [f"![{title}]({path.relative_to(folder).as_posix()})" for title, path in images.items()]
    parts += ["", "Film pictures stay out of the comment; `report.html` holds them, and a threshold slider.", ""]
    return "\n".join(parts)


def _changed(rows: list[list[str]], otherwise: str) -> str:
    return markdown(["name", "before", "after"], rows) if rows else otherwise


def _folded(text: str) -> str:
    return f"<details><summary>show</summary>\n\n{text}\n\n</details>"
