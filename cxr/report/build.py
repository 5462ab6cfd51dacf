"""The report of the workspace, compared with a base revision."""

from pathlib import Path

from cxr.core.config import load_section
from cxr.core.errors import CxrError
from cxr.core.files import atomic_folder, write_text
from cxr.evaluate.config import EvaluateSection
from cxr.report.comparison import Comparison
from cxr.report.markdown import report_markdown
from cxr.report.page import report_page
from cxr.report.plots import render_plots
from cxr.report.revisions import WORKSPACE, Results, RunResults, older_names, read_results, read_run, staleness
from cxr.report.verdict import compare_results


def build_report(base_name: str | None, folder: Path, repository: Path = Path(".")) -> Comparison | str:
    """Write `report.md`, `report.html` and the curves in `images/` for the workspace; other files of `folder` stay.

    Each of the three is replaced atomically, after all of them were made.

    Args:
        base_name: commit, branch, tag or experiment to compare with; None for no comparison.

    Returns:
        The comparison, or the reason why there is none, such as a base without results or with other classes.

    Raises:
        CxrError: the workspace has no results.
    """
    head = read_results(WORKSPACE, repository)
    base, found = compared(base_name, head, repository)
    warnings = staleness(head, repository) + (older_names(base) if base else [])
    page = report_page(head, base, found, _pictures(repository), warnings)
    with atomic_folder(folder / "images") as scratch:
        drawn = render_plots(base_name if base else None, WORKSPACE, scratch, repository)
        images = {title: folder / "images" / path.name for title, path in drawn.items()}
        text = report_markdown(head, base, found, images, folder, warnings)
    write_text(folder / "report.md", text)
    write_text(folder / "report.html", page)
    return found


def compared(base_name: str | None, head: Results, repository: Path) -> tuple[RunResults | None, Comparison | str]:
    """Results of the base and the comparison, or None and the reason why there is none."""
    if base_name is None:
        return None, "no base revision was named"
    section = load_section("evaluate", EvaluateSection, repository / "params.yaml")
    try:
        base = read_run(base_name, repository)
        return base, compare_results([base], [head], section)
    except CxrError as error:
        return None, f"not compared with {base_name}: {error}"


def _pictures(repository: Path) -> Path:
    """The folder with pictures of films; a fresh clone has only those that Git keeps."""
    drawn = repository / "data" / "pictures"
    return drawn if drawn.is_dir() else repository / "plots"
