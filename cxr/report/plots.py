"""Interactive curves of the offline page, and PNG pictures of the plots for pull requests."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import vl_convert
from sklearn.metrics import precision_recall_curve, roc_curve

from cxr.core.config import read_yaml
from cxr.core.errors import CxrError
from cxr.core.files import write_bytes
from cxr.evaluate.table import LOGIT, labels, scores
from cxr.evaluate.task import task_of
from cxr.report.revisions import RunResults

# Okabe & Ito 2008: distinguishable with any colour vision.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#999999"
BELOW = {"orientation": "h", "yanchor": "top", "y": -0.16}  # plotly's own buttons cover a legend at the top
TITLES = {"test": "test", "val": "validation"}
CONFIG = {"displaylogo": False, "responsive": True, "modeBarButtonsToRemove": ["sendDataToCloud", "toImage"]}
SCALE = 1.5  # pixels per unit of the plot: sharp at the full width of a pull request


def series(results: RunResults) -> list[dict[str, Any]]:
    """One entry per split and positive class: its name, references (1 or 0) and calibrated probabilities.

    Two classes have one positive class; three or more count each against the rest. Splits of one class are left out.
    """
    point, found = results.run.point, []
    for split, title in TITLES.items():
        films = results.run.table[results.run.table["split"] == split]
        if films.empty:
            continue
        label, probability = labels(films, point.classes), point.probability(scores(films, LOGIT, point.classes))
        for name, positive, chance in task_of(point.classes).one_versus_rest(label, probability):
            if 0 < positive.sum() < len(films):
                found.append(
                    {
                        "name": f"{title}: {name}",
                        "positive": positive.astype(int).tolist(),
                        "probability": np.round(chance, 12).tolist(),
                    }
                )
    return found


def roc_figure(head: list[dict[str, Any]], base: list[dict[str, Any]]) -> go.Figure:
    """ROC of the first series, with the slider's point; the base's curve in another colour."""
    figure = _frame("1 - specificity", "sensitivity")
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": GREY, "width": 1}, hoverinfo="skip", name="chance"
    )
    return _with_curves(figure, "roc", head, base)


def pr_figure(head: list[dict[str, Any]], base: list[dict[str, Any]]) -> go.Figure:
    """Precision and recall of the first series, with the slider's point; the base's curve in another colour."""
    figure = _frame("recall (sensitivity)", "precision (PPV)")
    share = float(np.mean(head[0]["positive"]))
    figure.add_scatter(
        x=[0, 1],
        y=[share, share],
        mode="lines",
        line={"color": GREY, "width": 1},
        hoverinfo="skip",
        name="all positive",
    )
    return _with_curves(figure, "pr", head, base)


def learning_figure(history: pd.DataFrame) -> go.Figure:
    """Loss and AUROC per epoch, AUROC on the right axis."""
    figure = go.Figure()
    colours = {"train": BLUE, "val": ORANGE, "corrupted": GREEN, "swapped": PURPLE}
    for name in history.columns:
        source, _, figure_name = str(name).rpartition("_")
        if source in colours and figure_name in ("loss", "auroc"):
            line = {"color": colours[source], "width": 2, "dash": "dot" if figure_name == "auroc" else "solid"}
            axis = "y2" if figure_name == "auroc" else "y"
            label = f"{source} {'AUROC' if figure_name == 'auroc' else 'loss'}"
            figure.add_scatter(
                x=history["epoch"], y=history[name], mode="lines+markers", line=line, name=label, yaxis=axis
            )
    figure.update_layout(
        template="plotly_white",
        height=440,
        margin={"l": 60, "r": 60, "t": 40, "b": 110},
        xaxis={"title": "epoch", "dtick": max(1, len(history) // 10)},
        yaxis={"title": "loss (solid)"},
        yaxis2={"title": "AUROC (dotted)", "overlaying": "y", "side": "right", "showgrid": False, "tickmode": "auto"},
        legend=BELOW,
    )
    return figure


def embed(figure: go.Figure, name: str) -> str:
    """The figure as HTML, for a page that contains plotly.js."""
    return str(figure.to_html(full_html=False, include_plotlyjs=False, div_id=name, config=CONFIG))


def points(name: str, entry: dict[str, Any] | None) -> dict[str, list[float]]:
    """`x` and `y` of the curve `roc` or `pr` of a series; empty without one."""
    if entry is None:
        return {"x": [], "y": []}
    if name == "roc":
        x, y, _ = roc_curve(entry["positive"], entry["probability"])
    else:
        y, x, _ = precision_recall_curve(entry["positive"], entry["probability"])
    return {"x": np.round(x, 5).tolist(), "y": np.round(y, 5).tolist()}


def _with_curves(figure: go.Figure, name: str, head: list[dict[str, Any]], base: list[dict[str, Any]]) -> go.Figure:
    """The base's curve, this revision's, and last the point of the slider."""
    same = [(entry, PURPLE, "base") for entry in base if entry["name"] == head[0]["name"]]
    for entry, colour, label in [*same, (head[0], BLUE, "this revision")]:
        line = {"color": colour, "width": 2, "dash": "solid" if colour == BLUE else "dash"}
        figure.add_scatter(**points(name, entry), mode="lines", line=line, name=label)
    marker = {"color": ORANGE, "size": 12, "symbol": "diamond"}
    return figure.add_scatter(x=[None], y=[None], mode="markers", marker=marker, name="threshold")


def _frame(x: str, y: str) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        template="plotly_white",
        height=500,
        margin={"l": 60, "r": 10, "t": 40, "b": 110},
        xaxis={"title": x, "range": [-0.01, 1.01]},
        yaxis={"title": y, "range": [-0.01, 1.01]},
        legend=BELOW,
    )
    return figure


def render_plots(base: str | None, head: str, folder: Path, repository: Path = Path(".")) -> dict[str, Path]:
    """Write one PNG per curve into `folder`: head alone, or head over base.

    Pictures of films are left out, because more people may read a pull request than may see the films.

    Returns:
        Title of each plot and its file, in the order of dvc.yaml.

    Raises:
        CxrError: dvc cannot read the plots.
    """
    revisions = [name for name in (base, head) if name not in (None, "workspace")]
    command = [sys.executable, "-m", "dvc", "plots", "diff" if base else "show", "--json"]
    with tempfile.TemporaryDirectory() as scratch:
        run = subprocess.run(
            [*command, "-o", scratch, *map(str, revisions)] if base else [*command, "-o", scratch],
            cwd=repository,
            capture_output=True,
            text=True,
            check=False,
        )
    if run.returncode != 0:
        raise CxrError(f"dvc plots: {' '.join(run.stderr.split())[-300:]}")
    own = {name for plot in read_yaml(repository / "dvc.yaml").get("plots", []) for name in plot}
    written = {}
    for name, entries in json.loads(run.stdout).get("data", {}).items():
        for entry in entries:
            if entry["type"] == "vega" and name in own:  # not those of the segmenter's pipeline
                path = folder / f"{name.replace('/', '_')}.png"
                write_bytes(path, _png(entry["content"]))
                written[name.replace("_", " ")] = path
    return written


def _png(content: str | dict[str, Any]) -> bytes:
    chart = json.loads(content) if isinstance(content, str) else content
    chart.setdefault("background", "white")
    return bytes(vl_convert.vegalite_to_png(chart, scale=SCALE))
