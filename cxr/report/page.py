"""report.html: one file that opens offline, with plotly inside."""

import base64
import json
import platform
from html import escape
from importlib.metadata import version
from pathlib import Path
from string import Template
from typing import Any

from plotly.offline import get_plotlyjs

from cxr.evaluate.paired import Comparison
from cxr.report import curves
from cxr.report.checks import check_rows
from cxr.report.comparison import as_rows, notes, sentence
from cxr.report.revisions import Results
from cxr.report.tables import changes, flat, headline_rows, html, subgroup_table

HERE = Path(__file__).parent
START = "It starts at the operating point, which was chosen on validation films only"
START_OF_CLASSES = "It starts at 0.5, for one class against the rest; the classifier itself calls the likeliest class"
LIBRARIES = ("torch", "torchvision", "timm", "lightning", "scikit-learn", "numpy", "pandas", "dvc", "onnxruntime")
GALLERIES = {"gradcam.png": "Grad-CAM gallery", "lungs_worst_first.png": "Lung segmentation, least trustworthy first"}


def report_page(head: Results, base: Results | None, found: Comparison | str, pictures: Path) -> str:
    """The page as text.

    Args:
        head: the revision shown.
        base: the one it is measured against, drawn in grey; None where it has no results.
        found: the paired comparison, or why there is none.
        pictures: folder that may hold the galleries.
    """
    own = curves.series(head)
    other = [] if base is None else curves.series(base)
    drawn = _figures(head, own, other)
    names = {name: escape(str(value)) for name, value in (("head", head.name), ("verdict", _verdict(found)))}
    return Template((HERE / "page.html").read_text(encoding="utf-8")).substitute(
        **names,
        **drawn,
        style=(HERE / "page.css").read_text(encoding="utf-8"),
        script=(HERE / "page.js").read_text(encoding="utf-8"),
        plotly=get_plotlyjs(),
        films=_json(
            {"threshold": 0.5 if head.point.threshold is None else head.point.threshold, "series": _films(own, other)}
        ),
        start=START if head.point.threshold is not None else START_OF_CLASSES,
        comparison=_comparison(found, base, head),
        operating_point=escape(_operating_point(head)),
        figures=html(["figure", "test", "validation"], headline_rows(head.metrics)),
        checks=html(["check", "value"], check_rows(head.metrics)),
        subgroups=html(*subgroup_table(head.subgroups)),
        galleries=_galleries(pictures),
        data=html(["fact", "value"], [[name, str(value)] for name, value in flat(head.data).items()]),
        params=html(["parameter", "value"], [[name, str(value)] for name, value in flat(head.params).items()]),
        environment=html(["what", "version"], _environment()),
    )


def _figures(head: Results, own: list[dict[str, Any]], other: list[dict[str, Any]]) -> dict[str, str]:
    if not own:
        return {"roc": "<p>No split holds films of both classes.</p>", "pr": "", "learning": _learning(head)}
    return {
        "roc": curves.embed(curves.roc_figure(own, other), "roc"),
        "pr": curves.embed(curves.pr_figure(own, other), "pr"),
        "learning": _learning(head),
    }


def _learning(head: Results) -> str:
    if head.history is None or head.history.empty:
        return "<p>This revision keeps no training history.</p>"
    return curves.embed(curves.learning_figure(head.history), "learning")


def _films(own: list[dict[str, Any]], other: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each series with its curves, base first, in the order of the figures' traces."""
    base = {entry["name"]: entry for entry in other}
    first_has_base = bool(own) and own[0]["name"] in base
    found = []
    for entry in own:
        both = [base.get(entry["name"]), entry] if first_has_base else [entry]
        found.append({**entry, "curves": {name: [curves.points(name, one) for one in both] for name in ("roc", "pr")}})
    return found


def _verdict(found: Comparison | str) -> str:
    return found if isinstance(found, str) else sentence(found)


def _comparison(found: Comparison | str, base: Results | None, head: Results) -> str:
    if isinstance(found, str) or base is None:
        return f"<p>{escape(str(found))}</p>"
    header = ["figure", base.name, head.name, "difference", "95 % interval", "verdict"]
    changed = changes(base.params, head.params)
    params = html(["parameter", "before", "after"], changed) if changed else "<p>No parameter differs.</p>"
    remarks = "".join(f"<p>{escape(note)}</p>" for note in notes(found))
    size = f"<p>The same {found.films} films of {found.patients} patients, split {found.split}.</p>"
    return size + html(header, as_rows(found)) + remarks + params


def _operating_point(head: Results) -> str:
    point = head.point
    if point.threshold is None:
        return f"the likeliest class, temperature {point.temperature:.3f}"
    return f"{point.rule}, threshold {point.threshold:.3f}, temperature {point.temperature:.3f}, fitted on validation"


def _galleries(pictures: Path) -> str:
    sections = []
    for name, heading in GALLERIES.items():
        if (pictures / name).is_file():
            data = base64.b64encode((pictures / name).read_bytes()).decode()
            picture = f'<img alt="{heading}" src="data:image/png;base64,{data}">'
            sections.append(f"<section><h2>{heading}</h2>{picture}</section>")
    return "\n".join(sections)


def _environment() -> list[list[str]]:
    return [["Python", platform.python_version()], *([name, version(name)] for name in LIBRARIES)]


def _json(value: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
