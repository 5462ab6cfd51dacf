"""The manifest: written by ingest, read by later stages."""

from dataclasses import replace
from pathlib import Path

import pytest

from cxr.core.errors import CxrError
from cxr.films.manifest import Record, read_manifest, write_manifest

RECORD = Record("P1_01", "films/P1_01.png", "normal", "0012", "train", 640, 480, 8, "f1", "p1", "", {"sex": "F"})


def test_records_survive_writing_and_reading(tmp_path: Path) -> None:
    records = [RECORD, replace(RECORD, image_id="P1_02", label="pneumonia", attributes={"sex": ""})]
    write_manifest(tmp_path / "manifest.csv", records, ["normal", "pneumonia"])
    assert read_manifest(tmp_path / "manifest.csv") == (records, ["normal", "pneumonia"])


def test_the_error_for_a_missing_manifest_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(CxrError, match="no manifest; run `dvc repro ingest`"):
        read_manifest(tmp_path / "manifest.csv")


def test_a_manifest_without_a_column_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    write_manifest(path, [RECORD], ["normal", "pneumonia"])
    path.write_text(path.read_text(encoding="utf-8").replace("film_hash", "hash"), encoding="utf-8")
    with pytest.raises(CxrError, match="column 'film_hash' is missing"):
        read_manifest(path)


def test_a_manifest_without_films_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    write_manifest(path, [RECORD], ["normal", "pneumonia"])
    path.write_text(path.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    with pytest.raises(CxrError, match="it has no films"):
        read_manifest(path)
