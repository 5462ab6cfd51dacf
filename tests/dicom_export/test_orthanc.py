"""The round trip through a real archive: Orthanc and dcmtk on loopback, and the script of docs/predict.md."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.dicom_export.conftest import COMPLETE, STUDY, write_film
from tests.settings import ROOT

pytestmark = pytest.mark.journey
TOOLS = ("Orthanc", "storescu", "findscu", "curl", "jq")
SECONDS = 60
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


@dataclass(frozen=True)
class Archive:
    """A running Orthanc."""

    http: int
    dicom: int

    def get(self, path: str) -> Any:
        with DIRECT.open(f"http://127.0.0.1:{self.http}/{path}", timeout=SECONDS) as answer:
            return json.load(answer)

    def instances(self) -> list[dict[str, str]]:
        """The main tags of every instance, with the modality of its series."""
        return [
            {**one["MainDicomTags"], "Modality": self.get(f"series/{one['ParentSeries']}")["MainDicomTags"]["Modality"]}
            for one in self.get("instances?expand")
        ]


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def config(folder: Path, http: int, dicom: int) -> Path:
    """The settings of a test's Orthanc; `wiring.lua` in its folder is loaded."""
    path, lua = folder / "orthanc.json", folder / "wiring.lua"
    lua.touch()
    settings = {
        "Name": "test",
        "HttpPort": http,
        "DicomPort": dicom,
        "DicomAet": "TEST",
        "DicomAlwaysAllowFind": True,
        "StableAge": 1,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "LuaScripts": [str(lua)],
    }
    path.write_text(json.dumps(settings))
    return path


@contextmanager
def running(tmp_path: Path, http: int, dicom: int, **environment: str) -> Iterator[Archive]:
    """An empty Orthanc on free ports, stopped in the end."""
    missing = [tool for tool in TOOLS if shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin") is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}; apt-get install orthanc dcmtk curl jq")
    command = [shutil.which("Orthanc", path="/usr/sbin:/usr/bin") or "Orthanc", str(config(tmp_path, http, dicom))]
    with (tmp_path / "orthanc.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path, env={**os.environ, **environment})
    try:
        found, until = Archive(http, dicom), time.monotonic() + SECONDS
        while True:
            try:
                found.get("system")
                break
            except OSError:
                assert process.poll() is None, (tmp_path / "orthanc.log").read_text()
                assert time.monotonic() < until, "Orthanc does not answer"
                time.sleep(0.1)
        yield found
    finally:
        process.terminate()
        process.wait(SECONDS)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with running(tmp_path, *free_ports(2)) as found:
        yield found


def run(*command: str, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def predict_new(archive: Archive, state: Path) -> str:
    """One run of the documented script."""
    return run("docs/orthanc.sh", ORTHANC=f"http://127.0.0.1:{archive.http}", STATE=str(state), PATH=PATH)


def test_results_are_stored_beside_the_films_and_never_predicted_again(archive: Archive, tmp_path: Path) -> None:
    films = [write_film(tmp_path / "a.dcm"), write_film(tmp_path / "b.dcm", seed=1, SOPInstanceUID=f"{STUDY}.4")]
    run("storescu", "-aec", "TEST", "127.0.0.1", str(archive.dicom), *map(str, films))
    assert "predicted" in predict_new(archive, tmp_path / "state")

    [study] = archive.get("studies?expand")
    assert study["MainDicomTags"]["StudyInstanceUID"] == STUDY
    kinds = sorted(one["Modality"] for one in archive.instances())
    assert {kind: kinds.count(kind) for kind in kinds} == {"CR": 2, "OT": 2, "SR": 2, "SEG": kinds.count("SEG")}
    assert kinds.count("SEG") >= 1
    key = ["-k", "QueryRetrieveLevel=SERIES", "-k", f"StudyInstanceUID={STUDY}", "-k", "Modality"]
    listed = run("findscu", "-v", "-S", "-aec", "TEST", *key, "127.0.0.1", str(archive.dicom))
    assert all(f"[{kind}" in listed for kind in ("CR", "OT", "SR", "SEG")), listed

    stored = {one["SOPInstanceUID"] for one in archive.instances()}
    again = predict_new(archive, tmp_path / "state")  # what is new now are the results
    assert f"left out: {len(stored) - 2} DICOM objects that this program wrote" in again
    assert {one["SOPInstanceUID"] for one in archive.instances()} == stored

    from_the_start = predict_new(archive, tmp_path / "another state")
    assert "2 films. RESEARCH USE ONLY" in from_the_start
    assert {one["SOPInstanceUID"] for one in archive.instances()} == stored
    assert COMPLETE["PatientID"] not in again + from_the_start


def test_a_script_without_news_does_nothing(archive: Archive, tmp_path: Path) -> None:
    assert predict_new(archive, tmp_path / "state") == ""
    assert (tmp_path / "state").read_text() == "0\n"


def test_the_wiring_of_the_page_predicts_a_series_once_it_is_stable(tmp_path: Path) -> None:
    page = (ROOT / "docs/predict.md").read_text(encoding="utf-8")
    [line] = [line for line in page.splitlines() if line.startswith("function OnStableSeries")]
    (tmp_path / "wiring.lua").write_text(line.replace("/path/to/repository", str(ROOT)))
    http, dicom = free_ports(2)
    environment = {"ORTHANC": f"http://127.0.0.1:{http}", "STATE": str(tmp_path / "state"), "PATH": PATH}
    with running(tmp_path, http, dicom, **environment) as archive:
        run("storescu", "127.0.0.1", str(dicom), str(write_film(tmp_path / "a.dcm")))
        until = time.monotonic() + SECONDS
        while not {"CR", "OT", "SR"} <= {one["Modality"] for one in archive.instances()}:
            assert time.monotonic() < until, (tmp_path / "orthanc.log").read_text()
            time.sleep(0.2)
        run("flock", "docs/orthanc.sh", "true")  # the run for the results
