"""The plots of dvc.yaml as PNG: what `dvc plots diff` overlays, rendered without a browser or a network."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import vl_convert

from cxr.core.config import read_yaml
from cxr.core.errors import CxrError
from cxr.core.files import write_bytes

SCALE = 1.5  # pixels a unit of the plot: sharp where a pull request shows it at full width


def render_plots(base: str | None, head: str, folder: Path, repository: Path = Path(".")) -> dict[str, Path]:
    """Write one PNG a curve into `folder`: head alone, or head over base.

    Film pictures (galleries, contact sheets) are left out: a pull request may be read by more people than films may.

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
            if entry["type"] == "vega" and name in own:  # dvc tells of the segmenter's pipeline as well
                path = folder / f"{name.replace('/', '_')}.png"
                write_bytes(path, _png(entry["content"]))
                written[name.replace("_", " ")] = path
    return written


def _png(content: str | dict[str, Any]) -> bytes:
    chart = json.loads(content) if isinstance(content, str) else content
    chart.setdefault("background", "white")
    return bytes(vl_convert.vegalite_to_png(chart, scale=SCALE))
