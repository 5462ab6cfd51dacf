"""The corpus of bad films: each file is read or quarantined with a reason, and the run completes."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.bad_film_corpus import KINDS, film
from cxr.films.read import Source, decode

ROOT = Path(__file__).parents[2]
NO_FILES = ("folder called x.jpg", "dangling link", "named pipe", "socket", "link to a device")
LARGEST = 300  # MB that ingest may add: one decoded image of 20000x20000 takes 400


@pytest.fixture(scope="module")
def printed() -> str:
    command = [sys.executable, "-m", "benchmarks.bad_films"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def rows(printed: str) -> dict[str, list[str]]:
    lines = [line for line in printed.splitlines() if line.startswith("| ")][1:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1:] for row in cells}


def test_every_bad_file_is_read_or_quarantined_and_none_stops_the_run(printed: str) -> None:
    found = rows(printed)
    assert set(KINDS) < set(found)
    assert sum(int(row[0]) for row in found.values()) > 500
    assert [kind for kind, row in found.items() if row[3] != "0"] == []
    assert [found[kind][:3] for kind in NO_FILES] == [["1", "0", "1"]] * len(NO_FILES)


def test_every_reason_has_a_remedy(printed: str) -> None:
    assert ", each with a remedy" in printed
    assert all("; " in row[4] for row in rows(printed).values() if row[2] != "0")


def test_no_bad_file_takes_the_memory_that_its_header_declares(printed: str) -> None:
    most, before = (float(number) for number in re.findall(r"(\d+) MB", printed))
    assert most - before < LARGEST


def test_an_unreadable_file_is_quarantined_unless_root_reads_it(printed: str) -> None:
    assert rows(printed)["no permission"][1:3] == (["1", "0"] if os.geteuid() == 0 else ["0", "1"])


def test_the_page_matches_the_output_of_the_benchmark(printed: str) -> None:
    page = (ROOT / "benchmarks/results/bad_films.md").read_text(encoding="utf-8").splitlines()
    table = [line for line in printed.splitlines() if line.startswith("|") and not line.startswith("| no permission")]
    assert [line for line in table if line not in page] == []


def test_every_reason_in_the_code_has_a_remedy() -> None:
    """The corpus does not cover all of them."""
    found = []
    for path in [*(ROOT / "cxr/films").glob("*.py"), ROOT / "cxr/ingest/film.py"]:
        for node in ast.walk(ast.parse(path.read_bytes())):
            raised = isinstance(node, ast.Call) and ast.unparse(node.func) in ("CxrError", "NotAChestFilm")
            returned = path.stem == "film" and isinstance(node, ast.Return) and isinstance(node.value, ast.JoinedStr)
            if raised or returned:
                found.append(ast.unparse(node))
    passed_on = ["NotAChestFilm(f'{address}: {reason}')"]  # film.py returns the reason
    assert len(found) > 20
    assert [text for text in found if "; " not in text] == passed_on


@pytest.mark.parametrize(
    ("kind", "seed"),
    [
        ("CMYK JPEG", 0),
        ("16-bit PNG", 34),
        ("16-bit PNG with a hot pixel", 7),
        ("32-bit float TIFF", 35),
        ("palette PNG", 36),
        ("PNG with alpha", 37),
        ("grey PNG with alpha", 38),
        ("animated GIF", 0),
        ("animated PNG", 0),
        ("animated WebP", 0),
        ("TIFF of several pages", 0),
        ("progressive JPEG", 50),
        ("JPEG with an ICC profile", 0),
        ("DICOM, MONOCHROME1", 55),
        ("DICOM, implicit VR", 56),
        ("DICOM, big endian", 57),
        ("DICOM, deflated", 58),
        ("DICOM, RLE", 59),
    ],
)
def test_an_unusual_file_decodes_to_the_film_stored_in_it(kind: str, seed: int) -> None:
    ((name, content),) = KINDS[kind]()
    grey = decode(Source(name, content)).grey
    assert np.corrcoef(grey.ravel(), film(seed).ravel())[0, 1] > 0.95


def test_the_exif_orientation_is_ignored() -> None:
    shapes = {decode(Source(name, content)).size for name, content in KINDS["turned by EXIF, all eight ways"]()}
    assert shapes == {(160, 128)}
