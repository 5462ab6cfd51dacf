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

from cxr.report.comparison import Comparison
from cxr.report.markdown import INTERVALS
from cxr.report.plots import embed, learning_figure, points, pr_figure, roc_figure, series
from cxr.report.revisions import Results, RunResults
from cxr.report.tables import (
    calibration_rows,
    changes,
    check_rows,
    flat,
    headline,
    headline_rows,
    html,
    inline,
    predictive_rows,
    subgroup_table,
)
from cxr.report.verdict import as_rows, heading, notes, sentence

HERE = Path(__file__).parent
START = "It starts at the operating point, which was fitted without test films"
START_OF_CLASSES = (
    "It starts at 0.5, for one class against the rest; the classifier itself predicts the likeliest class"
)
LIBRARIES = ("torch", "torchvision", "timm", "lightning", "scikit-learn", "numpy", "pandas", "dvc", "onnxruntime")
GALLERIES = {"gradcam.png": "Grad-CAM gallery", "lungs_worst_first.png": "Lung segmentation, lowest mask quality first"}


def report_page(
    head: Results, base: RunResults | None, found: Comparison | str, pictures: Path, warnings: list[str]
) -> str:
    """The page as text.

    Args:
        head: the revision shown.
        base: the revision to compare with, drawn in another colour; None where it has no results.
        found: the paired comparison, or the reason why there is none.
        pictures: folder with or without galleries.
        warnings: about stale results.
    """
    own = series(head)
    other = [] if base is None else series(base)
    drawn = _figures(head, own, other)
    details, point = head.details, head.run.point
    return Template((HERE / "page.html").read_text(encoding="utf-8")).substitute(
        **drawn,
        head=escape(head.name),
        verdict=inline(f"{headline(details['performance'])}; {found}" if isinstance(found, str) else sentence(found)),
        warnings="".join(f'<p class="warning">{inline(warning)}</p>' for warning in warnings),
        style=(HERE / "page.css").read_text(encoding="utf-8"),
        script=(HERE / "page.js").read_text(encoding="utf-8"),
        plotly=get_plotlyjs(),
        films=_json({"threshold": 0.5 if point.threshold is None else point.threshold, "series": _films(own, other)}),
        start=START if point.threshold is not None else START_OF_CLASSES,
        comparison=_comparison(found, base, head),
        intervals=INTERVALS,
        operating_point=escape(_operating_point(head)),
        metrics=html(["metric", "test", "validation"], headline_rows(details["performance"])),
        calibration=_calibration(details["performance"]),
        checks=html(["check", "value", "chance"], check_rows(details["checks"])),
        subgroups=html(*subgroup_table(details["subgroups"])),
        galleries=_galleries(pictures),
        data=html(["fact", "value"], [[name, str(value)] for name, value in flat(details["data"]).items()]),
        params=html(["parameter", "value"], [[name, str(value)] for name, value in flat(head.params).items()]),
        environment=html(["what", "version"], _environment()),
    )


def _figures(head: Results, own: list[dict[str, Any]], other: list[dict[str, Any]]) -> dict[str, str]:
    if not own:
        return {"roc": "<p>No split holds films of both classes.</p>", "pr": "", "learning": _learning(head)}
    return {
        "roc": embed(roc_figure(own, other), "roc"),
        "pr": embed(pr_figure(own, other), "pr"),
        "learning": _learning(head),
    }


def _learning(head: Results) -> str:
    if head.history is None or head.history.empty:
        return "<p>This revision has no training history.</p>"
    return embed(learning_figure(head.history), "learning")


def _films(own: list[dict[str, Any]], other: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each series with its curves, base first, in the order of the figures' traces."""
    base = {entry["name"]: entry for entry in other}
    first_has_base = bool(own) and own[0]["name"] in base
    found = []
    for entry in own:
        both = [base.get(entry["name"]), entry] if first_has_base else [entry]
        found.append({**entry, "curves": {name: [points(name, one) for one in both] for name in ("roc", "pr")}})
    return found


def _comparison(found: Comparison | str, base: RunResults | None, head: Results) -> str:
    if isinstance(found, str) or base is None:
        return f"<p>{inline(str(found))}</p>"
    changed = changes(base.params, head.params)
    params = html(["parameter", "before", "after"], changed) if changed else "<p>No parameter differs.</p>"
    size = f"<p>{inline(heading(found, base.name, head.name))}.</p>"
    if found.identical:
        return f"{size}<p>Identical predictions.</p>{params}"
    # The verdict comes first, so that a phone shows it without scrolling.
    header = ["metric", "verdict", "B − A", "95 % CI", "p", "A", "B"]
    rows = [[name, verdict, gap, interval, p, a, b] for name, a, b, gap, interval, p, verdict in as_rows(found)]
    remarks = "".join(f"<p>{inline(note)}</p>" for note in notes(found))
    return size + html(header, rows) + remarks + params


def _calibration(performance: dict[str, Any]) -> str:
    rows = calibration_rows(performance)
    if not rows:
        return ""
    predictive = html(["prevalence", "PPV", "NPV"], predictive_rows(performance))
    return (
        f"<section><h2>Calibration</h2>{html(['metric', 'value'], rows)}</section>"
        f"<section><h2>Predictive values</h2>{predictive}</section>"
    )


def _operating_point(head: Results) -> str:
    point = head.run.point
    if point.threshold is None:
        return f"the likeliest class, temperature {point.temperature:.3f}"
    return f"{point.rule}, threshold {point.threshold:.3f}, temperature {point.temperature:.3f}, fitted on validation"


def _galleries(pictures: Path) -> str:
    sections = []
    for name, caption in GALLERIES.items():
        if (pictures / name).is_file():
            data = base64.b64encode((pictures / name).read_bytes()).decode()
            picture = f'<img alt="{caption}" src="data:image/png;base64,{data}">'
            sections.append(f"<section><h2>{caption}</h2>{picture}</section>")
    return "\n".join(sections)


def _environment() -> list[list[str]]:
    return [["Python", platform.python_version()], *([name, version(name)] for name in LIBRARIES)]


def _json(value: Any) -> str:
    """JSON that cannot close the script element around it."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
