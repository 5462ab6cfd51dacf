"""Films are found by suffix or content."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from cxr.films.find import HEAD, film_stem, has_film_mark, is_dicom_file, is_film, read_head
from tests.conftest import phantom, write_dicom

FILM = phantom(2)[0]


def unread() -> bytes:
    raise AssertionError("the content of a file with a film's suffix is not read")


@pytest.mark.parametrize("name", ["a.png", "A.JPG", "UPPER.DCM", "1.2.840.113619.2.55.dcm", "b.dicom", "c.Tiff"])
def test_a_suffix_in_any_case_makes_a_film(name: str) -> None:
    assert is_film(name, unread)


@pytest.mark.parametrize("name", ["IM000001", "1.2.840.113619.2.55", "film.jpg_large", "film.webp"])
def test_other_names_are_films_by_content(tmp_path: Path, name: str) -> None:
    dicom = write_dicom(tmp_path / "a.dcm", FILM).read_bytes()[:HEAD]
    assert is_film(name, lambda: dicom)
    assert not is_film(name, lambda: b"patient,label\n" * 20)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "PPM", "JPEG2000", "AVIF"])
def test_every_image_format_that_is_decoded_is_known_by_its_first_bytes(tmp_path: Path, kind: str) -> None:
    Image.fromarray(FILM).save(tmp_path / "film", kind)
    assert has_film_mark(read_head(tmp_path / "film"))


@pytest.mark.parametrize(
    "content",
    [b"", b"BMI,age\n22,50\n", b"P2P notes", b"{}", b"PK\3\4" + bytes(200), b"%PDF-1.7" + bytes(200), bytes(200)],
)
def test_other_files_have_no_mark_of_a_film(content: bytes) -> None:
    assert not has_film_mark(content[:HEAD])


def test_the_index_of_a_disc_is_no_film(tmp_path: Path) -> None:
    index = write_dicom(tmp_path / "a.dcm", FILM).rename(tmp_path / "DICOMDIR")
    assert not is_film(index.name, unread)
    assert not is_dicom_file(index)


def test_a_dicom_file_is_known_by_content_and_an_image_is_none(tmp_path: Path) -> None:
    assert is_dicom_file(write_dicom(tmp_path / "a.dcm", FILM).rename(tmp_path / "IM.0001"))
    cv2.imwrite(str(tmp_path / "b.png"), np.asarray(FILM))
    assert not is_dicom_file(tmp_path / "b.png")


def test_a_pipe_and_a_missing_file_have_no_first_bytes_and_do_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert read_head(tmp_path / "pipe") == read_head(tmp_path / "missing") == b""


@pytest.mark.parametrize(
    ("name", "stem"),
    [("a.dcm", "a"), ("a.b.PNG", "a.b"), ("1.2.840.113619.2.55", "1.2.840.113619.2.55"), ("IM000001", "IM000001")],
)
def test_only_the_suffix_of_a_film_is_cut_off_a_stem(name: str, stem: str) -> None:
    assert film_stem(name) == stem
