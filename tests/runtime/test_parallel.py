"""The per-film map: same results in the same order on one process, on two, and on a Dask cluster."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
from joblib.externals.loky import get_reusable_executor

from cxr.core.errors import CxrError
from cxr.ingest.config import DataSection
from cxr.ingest.ingest import ingest
from cxr.preprocess.build import build_npz_set
from cxr.preprocess.config import PreprocessSection
from cxr.runtime.compute import Compute
from cxr.runtime.parallel import map_films
from tests.conftest import phantom, write_image, write_segment_facts
from tests.settings import machine, section

FILMS = 40  # more than two chunks


@pytest.fixture
def dask_cluster(workspace: Path) -> Iterator[Compute]:
    """Two worker processes and their scheduler on this machine, started in the workspace."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
    ) as cluster:
        yield machine(parallel={"engine": "dask", "address": cluster.scheduler_address})


@pytest.fixture
def two_processes(workspace: Path) -> Iterator[Compute]:
    """Two new loky workers: those left by another test would run in that test's folder."""
    get_reusable_executor().shutdown(wait=True)
    yield machine(workers=2)
    get_reusable_executor().shutdown(wait=True)


def slow_square(value: int) -> tuple[int, int]:
    time.sleep(0.02 if value < 16 else 0)  # the first chunk ends last
    return value * value, os.getpid()


def fail_on_thirty(value: int) -> int:
    if value == 30:
        raise CxrError("films/30.png: empty file; replace or remove it")
    return value


def films_to_npz(compute: Compute) -> dict[str, bytes]:
    """Ingest and preprocess the workspace's films from an empty per-film cache; the content of all files written."""
    settings = {
        "root": "films",
        "layout": "folders",
        "classes": ("normal", "pneumonia"),
        "path_pattern": r"(?P<patient_id>P\d+)",
        "patient_from": "pattern",
        "masks_dir": "none",
    }
    ingest(section(DataSection, **settings), compute, Path("data"))
    write_segment_facts(Path("data/masks"))
    build_npz_set(Path("data/manifest.csv"), Path("data/masks"), Path("data/npz"), section(PreprocessSection), compute)
    return {str(path): path.read_bytes() for path in sorted(Path("data").rglob("*")) if path.is_file()}


def test_results_come_in_the_order_of_the_films(two_processes: Compute) -> None:
    results = list(map_films(slow_square, range(FILMS), two_processes, "square"))
    assert [square for square, _ in results] == [value * value for value in range(FILMS)]
    assert len({process for _, process in results}) == 2


def test_no_films_give_no_results(one_process: Compute) -> None:
    assert list(map_films(slow_square, [], one_process, "square")) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_cxr_error_in_a_worker_reaches_the_caller(workspace: Path, workers: int) -> None:
    with pytest.raises(CxrError, match=r"films/30\.png: empty file"):
        list(map_films(fail_on_thirty, range(FILMS), machine(workers=workers), "check"))


def test_results_are_streamed(one_process: Compute) -> None:
    results = map_films(fail_on_thirty, range(FILMS), one_process, "check")
    assert [next(results) for _ in range(16)] == list(range(16))


def test_a_dask_cluster_gives_the_same_bytes_as_one_and_two_processes(
    workspace: Path, two_processes: Compute, dask_cluster: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(FILMS):
        film, mask = phantom(number)
        stem = f"P{number:03d}"
        write_image(workspace / "films" / ("NORMAL", "PNEUMONIA")[number % 2] / f"{stem}.png", film)
        write_image(
            workspace / "data" / "masks" / f"{stem}.png", cv2.resize(mask, (512, 512), interpolation=cv2.INTER_NEAREST)
        )
    written = []
    for name, compute in (("one", machine(workers=1)), ("two", two_processes), ("dask", dask_cluster)):
        monkeypatch.setenv("DVC_ROOT", str(workspace / name))  # each computes everything itself
        written.append(films_to_npz(compute))
        copies = sum(Path(file).parts[-2] in ("corrupted", "swapped") for file in written[-1])
        assert len(list((workspace / name / ".cache").rglob("preprocess/*/*/*"))) == FILMS + copies
    assert copies > 0
    assert len(written[0]) == FILMS * 2 + copies + 8
    assert written[0] == written[1] == written[2]


def test_an_unreachable_scheduler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed")
    client = distributed.Client
    monkeypatch.setattr(distributed, "Client", lambda address, timeout: client(address, timeout="1s"))
    compute = machine(parallel={"engine": "dask", "address": "tcp://127.0.0.1:9"})
    with pytest.raises(CxrError, match=r"no Dask scheduler at tcp://127\.0\.0\.1:9"):
        list(map_films(fail_on_thirty, range(3), compute, "check"))


def test_a_dask_engine_without_an_address_is_an_error() -> None:
    compute = machine(parallel={"engine": "dask"})
    with pytest.raises(CxrError, match=r"parallel\.address"):
        list(map_films(fail_on_thirty, range(3), compute, "check"))
