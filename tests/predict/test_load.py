"""The service as a process under concurrent clients: no film is lost, and every prediction is of one bundle.

The clients are those of benchmarks.service, in a process of their own because Locust changes Python's sockets.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from cxr.core.errors import CxrError
from cxr.predict.predictor import Predictor
from tests.bundles import ROOT, Project
from tests.conftest import phantom, write_image


@pytest.fixture
def films(tmp_path: Path) -> Path:
    for index in range(3):
        write_image(tmp_path / f"films/{index}.jpg", phantom(index, 200, 160)[0])
    return tmp_path / "films"


def load(project: Project, films: Path, *arguments: str) -> dict[str, str]:
    """The table that the benchmark prints."""
    command = [sys.executable, "-m", "benchmarks.service", "--bundle", str(project.bundle), "--films", str(films)]
    run = subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    rows = [line.strip("| ").split(" | ") for line in run.stdout.splitlines() if line.count("|") == 3]
    return {row[0]: row[1] for row in rows if len(row) == 2}


def test_concurrent_clients_lose_no_film_and_get_503_while_the_queue_is_full(project: Project, films: Path) -> None:
    seen = load(project, films, "--clients", "8", "--requests", "100", "--queue", "2")
    assert int(seen["answered 503 with Retry-After"]) > 0
    assert int(seen["answered 200"]) + int(seen["answered 503 with Retry-After"]) == int(seen["requests sent"])
    assert seen["films asked about / answered / lost"].endswith(" / 0")


def test_every_prediction_comes_from_one_bundle_while_the_bundle_is_replaced_and_a_worker_killed_under_load(
    project: Project, films: Path
) -> None:
    seen = load(project, films, "--clients", "4", "--requests", "60", "--replace")
    assert seen["films asked about / answered / lost"].endswith(" / 0")
    assert seen["answers that are not their bundle's"] == "0"
    assert len(seen["answers by bundle"].split(",")) == 2


def test_a_bundle_replaced_while_loading_is_rejected(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = iter(["before", "after"])
    monkeypatch.setattr("cxr.predict.predictor.verify_sums", lambda _: next(versions))
    with pytest.raises(CxrError, match="replaced while it was read"):
        Predictor.load(project.bundle)
