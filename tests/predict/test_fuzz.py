"""Damaged films: each gets a prediction or a reason in one line, and none hangs or ends the process."""

import http.client
import io
import json
import time
import urllib.parse
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pydicom.data
import pytest

from cxr.core.errors import CxrError
from cxr.predict.predictor import Predictor
from testing.service import serving, worker
from tests.bundles import Project
from tests.conftest import phantom, write_dicom

HANGS = 120  # seconds; a film takes a hundredth of it on a slow machine
SOME, MANY = 300, 2000
DICOM_FILES = sorted(Path(pydicom.data.__file__).parent.glob("test_files/**/*.dcm"))


@pytest.fixture(scope="module")
def predictor(project: Project) -> Predictor:
    return Predictor.load(project.bundle)


def originals(folder: Path) -> list[bytes]:
    """JPEG, PNG of 8 and 16 bits, TIFF, and DICOM, each of a small film."""
    film = phantom(0, 200, 160)[0]
    wide = film.astype(np.uint16) << 4
    pictures = [(".jpg", film), (".png", film), (".png", wide), (".tif", film), (".bmp", film)]
    encoded = [cv2.imencode(suffix, picture)[1].tobytes() for suffix, picture in pictures]
    return [*encoded, *(write_dicom(folder / f"{bits}.dcm", film, bits).read_bytes() for bits in (8, 12))]


def mutants(parts: list[bytes], count: int) -> Iterator[bytes]:
    """Films with bytes flipped, cut, doubled, moved, or with the head of another."""
    rng = np.random.default_rng(13)
    for index in range(count):
        content = bytearray(parts[index % len(parts)])
        head = min(
            len(content), (64, 512, 4096, len(content))[int(rng.integers(4))]
        )  # most harm is done near the start
        for _ in range(int(rng.integers(1, 9))):
            at, length = int(rng.integers(head)), int(rng.integers(1, 64))
            kind = int(rng.integers(5))
            if kind == 0:
                content[at : at + 1] = bytes([int(rng.integers(256))])
            elif kind == 1:
                content[at : at + length] = bytes([(0, 255)[int(rng.integers(2))]]) * length
            elif kind == 2:
                del content[at : at + length]
            elif kind == 3:
                content[at:at] = rng.bytes(length)
            else:
                del content[int(rng.integers(len(content) // 2, len(content))) :]
            head = max(1, min(head, len(content)))
            if not content:
                break
        if rng.random() < 0.05:
            other = parts[int(rng.integers(len(parts)))]
            content[: len(other) // 4] = other[: len(other) // 4]
        yield bytes(content)


def outcome(predictor: Predictor, content: bytes) -> str:
    """`answered`, or the reason why not; anything but a CxrError is raised."""
    try:
        answer = predictor(content, "film")
    except CxrError as error:
        return str(error)
    assert np.isfinite(answer.probability)
    return "answered"


def survive(predictor: Predictor, films: Iterable[bytes]) -> list[str]:
    with ThreadPoolExecutor(1) as pool:
        return [pool.submit(outcome, predictor, film).result(timeout=HANGS) for film in films]


def check(outcomes: list[str]) -> None:
    assert "answered" in outcomes  # harm to a pixel leaves a film
    reasons = [one for one in outcomes if one != "answered"]
    assert len(reasons) > len(outcomes) / 10
    assert all(one.startswith("film: ") and "\n" not in one for one in reasons)


def test_some_damaged_films_are_predicted_or_rejected(predictor: Predictor, tmp_path: Path) -> None:
    check(survive(predictor, mutants(originals(tmp_path), SOME)))


def replies(bundle: Path, films: Iterable[bytes]) -> tuple[Counter[int], float]:
    """What the service as a process of its own says of films, by status, and its longest time, seconds.

    The process that answers must be the same at the end.
    """
    statuses: Counter[int] = Counter()
    slowest = 0.0
    with serving(bundle) as (url, service):
        before = worker(service).pid
        line = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=HANGS)
        for film in films:
            started = time.monotonic()
            line.request("POST", "/invocations", film, {"content-type": "application/octet-stream"})
            reply = line.getresponse()
            reason = json.loads(reply.read()).get("error", "")
            assert "\n" not in reason
            statuses[reply.status] += 1
            slowest = max(slowest, time.monotonic() - started)
        assert worker(service).pid == before
    return statuses, slowest


@pytest.mark.slow
def test_many_damaged_films_are_predicted_or_rejected_by_the_predictor(predictor: Predictor, tmp_path: Path) -> None:
    outcomes, slowest, worked = [], 0.0, 0.0
    for film in mutants(originals(tmp_path), MANY):
        started, before = time.monotonic(), time.process_time()
        outcomes += survive(predictor, [film])
        slowest, worked = max(slowest, time.monotonic() - started), max(worked, time.process_time() - before)
    check(outcomes)
    print(f"\npredictor: {len(outcomes)} films, {outcomes.count('answered')} answered, all others refused")
    print(f"slowest {slowest:.2f} s; most processor time {worked:.2f} s")


@pytest.mark.slow
def test_many_damaged_films_are_predicted_or_rejected_by_the_service(project: Project, tmp_path: Path) -> None:
    statuses, slowest = replies(project.bundle, mutants(originals(tmp_path), MANY))
    print(f"\nservice: {sum(statuses.values())} requests, {dict(statuses)}; slowest {slowest:.2f} s")
    assert statuses.total() == MANY
    assert set(statuses) <= {200, 400, 422, 503}
    assert statuses[200]
    assert statuses[422]


def test_every_test_file_of_pydicom_is_predicted_or_rejected_in_one_line(predictor: Predictor) -> None:
    assert len(DICOM_FILES) > 50
    outcomes = survive(predictor, (path.read_bytes() for path in DICOM_FILES))
    assert all(one == "answered" or (one.startswith("film: ") and "\n" not in one) for one in outcomes)


def test_a_picture_that_declares_more_pixels_than_memory_is_rejected(predictor: Predictor) -> None:
    png = bytearray(cv2.imencode(".png", phantom(0)[0])[1].tobytes())
    png[16:24] = (60000).to_bytes(4, "big") * 2
    png[29:33] = zlib.crc32(png[12:29]).to_bytes(4, "big")
    assert outcome(predictor, bytes(png)).startswith("film: ")


def test_a_dicom_file_that_declares_more_pixels_than_it_has_is_rejected(predictor: Predictor, tmp_path: Path) -> None:
    dataset = pydicom.dcmread(write_dicom(tmp_path / "film.dcm", phantom(0)[0]))
    dataset.Rows = dataset.Columns = 60000
    stream = io.BytesIO()
    dataset.save_as(stream)
    assert outcome(predictor, stream.getvalue()).startswith("film: ")
