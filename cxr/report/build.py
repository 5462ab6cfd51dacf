"""reports/: report.md for a pull request, report.html for offline reading."""

from pathlib import Path

from cxr.core.config import load_section
from cxr.core.errors import CxrError
from cxr.core.files import atomic_folder, write_text
from cxr.evaluate.config import EvaluateSection
from cxr.report.comparison import Comparison
from cxr.report.page import report_page
from cxr.report.plots import render_plots
from cxr.report.revisions import WORKSPACE, Results, RunResults, read_results, read_run, stale
from cxr.report.tables import calibration_rows, changes, headline_rows, markdown, predictive_rows, subgroup_table
from cxr.report.verdict import as_markdown, compare_results

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
    figures = head.details["figures"]
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


def build_report(base_name: str | None, folder: Path, repository: Path = Path(".")) -> Comparison | str:
    """Write `report.md`, `report.html` and the curves in `images/` for the workspace; other files of `folder` stay.

    Each of the three is replaced atomically, and only after all of them could be made.

    Args:
        base_name: commit, branch, tag or experiment to measure against; None compares with nothing.

    Returns:
        The comparison, or why there is none: the base has no results, or other classes, films or labels.

    Raises:
        CxrError: the workspace has no results.
    """
    head = read_results(WORKSPACE, repository)
    base, found = compared(base_name, head, repository)
    warnings = stale(head, repository)
    page = report_page(head, base, found, _pictures(repository), warnings)
    with atomic_folder(folder / "images") as scratch:
        drawn = render_plots(base_name if base else None, WORKSPACE, scratch, repository)
        images = {title: folder / "images" / path.name for title, path in drawn.items()}
        text = report_markdown(head, base, found, images, folder, warnings)
    write_text(folder / "report.md", text)
    write_text(folder / "report.html", page)
    return found


def compared(base_name: str | None, head: Results, repository: Path) -> tuple[RunResults | None, Comparison | str]:
    """The base's results and the comparison, or None and why there is none."""
    if base_name is None:
        return None, "no base revision was named"
    section = load_section("evaluate", EvaluateSection, repository / "params.yaml")
    try:
        base = read_run(base_name, repository)
        return base, compare_results([base], [head], section)
    except CxrError as error:
        return None, f"not compared with {base_name}: {error}"


def _pictures(repository: Path) -> Path:
    """Where evaluation left its pictures of films; a fresh clone has only those that Git keeps."""
    drawn = repository / "data" / "pictures"
    return drawn if drawn.is_dir() else repository / "plots"
