"""Label tables as spreadsheets and data frames write them."""

import gzip
import unicodedata
from pathlib import Path

import pytest

from cxr.core.errors import CxrError
from cxr.ingest.names import FilmNames
from cxr.ingest.table import read_table

PLAIN = "path,label\na.png,1\nb.png,0\n"


def read(tmp_path: Path, content: bytes) -> list[dict[str, str]]:
    (tmp_path / "labels.csv").write_bytes(content)
    return read_table(tmp_path / "labels.csv").rows


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.encode(),
        PLAIN.replace("\n", "\r\n").encode("utf-8-sig"),
        PLAIN.replace(",", ";").encode(),
        PLAIN.replace(",", "\t").encode("utf-16"),
        PLAIN.replace(",", ", ").encode(),
        PLAIN.replace("1\n", "1,\n").replace("0\n", "0,,\n").encode(),
        (PLAIN + ",\n\n").encode(),
        b",path,label\n0,a.png,1\n1,b.png,0\n",
        gzip.compress(PLAIN.encode(), mtime=0),
        PLAIN.encode("utf-16-le"),
    ],
)
def test_spellings_of_one_table_are_read_alike(tmp_path: Path, content: bytes) -> None:
    assert read(tmp_path, content) == [{"path": "a.png", "label": "1"}, {"path": "b.png", "label": "0"}]


@pytest.mark.parametrize(
    ("word", "encoding"), [("폐렴", "cp949"), ("Müller für Ärzte", "cp1252"), ("opacité à gauche", "cp1252")]
)
def test_korean_and_western_encodings_are_told_apart_and_named(tmp_path: Path, word: str, encoding: str) -> None:
    assert read(tmp_path, f"path;comment\na.png;{word}\n".encode(encoding)) == [{"path": "a.png", "comment": word}]
    assert read_table(tmp_path / "labels.csv").notes[0][0].endswith(f"read as {encoding} with semicolons")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"path,label\na.png,1\nb.png,0,mild\nc.png,0,x\n",
            r"labels\.csv:3: more values than the 2 columns, in line 3, 4",
        ),
        (b'path,label\na.png,1\n"b.png,0\nc.png,0\n', r"labels\.csv:3: unexpected end of data; correct the quotes"),
        (b"PK\x03\x04" + bytes(range(256)), r"a workbook or archive, not a CSV"),
        (b"", "an empty table"),
        (b"\x1f\x8b\x08broken", "cannot be read"),
    ],
)
def test_a_table_that_cannot_be_read_is_an_error_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(CxrError, match=message):
        read(tmp_path, content)


def test_a_row_with_a_quoted_line_break_does_not_shift_the_lines_of_later_rows(tmp_path: Path) -> None:
    read(tmp_path, b'path,label\n"a\nb",1\nc,0\n')
    assert read_table(tmp_path / "labels.csv").lines == [2, 4]


@pytest.mark.parametrize(
    "given",
    [
        "images/환자1.png",
        "./images/환자1.png",
        "../films/images/환자1.png",
        "images\\환자1.png",
        "/data/films/images/환자1.png",
        "/kaggle/input/images/환자1.png",
        "환자1.png",
        "환자1",
        "환자1.PNG",
        unicodedata.normalize("NFD", "환자1.png"),
    ],
)
def test_a_name_means_the_film_whatever_its_form(given: str) -> None:
    names = FilmNames(["images/환자1.png", "images/other.png"], "/data/films")
    assert names.find(given) == ["images/환자1.png"]


def test_a_name_that_two_films_share_means_both_unless_its_folder_decides() -> None:
    names = FilmNames(["train/1.png", "test/1.png"], "/data/films")
    assert names.find("1.png") == ["train/1.png", "test/1.png"]
    assert names.find("test/1.png") == ["test/1.png"]
    assert names.find("2.png") == []
