"""Many films: one row per film, also for rejected ones."""

import csv
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import pandas as pd
import pytest
from PIL import Image

from cxr.__main__ import main
from cxr.core.errors import CxrError
from cxr.predict import batch as many
from cxr.predict.batch import ProgressLog, predict_into
from cxr.predict.inputs import find_films
from cxr.predict.predictor import Predictor
from tests.bundles import Project
from tests.conftest import phantom, write_dicom, write_image


@pytest.fixture(scope="module")
def predictor(project: Project) -> Predictor:
    return Predictor.load(project.bundle)


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Twelve films, a damaged one, an empty one, a photograph, and files that are no films."""
    folder = tmp_path / "films"
    for index in range(12):
        write_image(folder / f"sub{index % 2}/film{index:02d}.png", phantom(index, 320, 280)[0])
    write_dicom(folder / "no_suffix", phantom(20, 320, 280)[0])
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff" + bytes(50))
    (folder / "empty.png").write_bytes(b"")
    colours = cv2.applyColorMap(phantom(1, 320, 280)[0], cv2.COLORMAP_JET)
    write_image(folder / "photograph.png", colours)
    (folder / "notes.txt").write_text("no film")
    (folder / ".hidden.png").write_bytes(b"no film")
    return folder


def rows(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="") as stream:
        return {Path(row["film"]).name: row for row in csv.DictReader(stream)}


def test_every_film_has_a_row_and_a_rejected_one_a_reason(predictor: Predictor, films: Path, tmp_path: Path) -> None:
    predict_into(tmp_path / "out.csv", predictor, [str(films)], workers=2)
    found = rows(tmp_path / "out.csv")
    assert len(found) == 16
    assert {name for name, row in found.items() if row["rejected"]} == {"broken.jpg", "empty.png", "photograph.png"}
    assert "empty" in found["empty.png"]["rejected"]
    assert "coloured" in found["photograph.png"]["rejected"]
    assert found["no_suffix"]["decision"] in predictor.config.classes
    alone = predictor(films / "sub0/film00.png")
    assert float(found["film00.png"]["probability"]) == pytest.approx(alone.probability, abs=1e-4)


def test_a_folder_gives_the_films_that_ingest_would_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    names = ["1.2.840.113619.2.55", "IM000001", "UPPER.DCM", "film.gif", "film.jfif", "film.webp"]
    film = phantom(1)[0]
    for name in names:
        if name.startswith("film."):
            kind = {"gif": "GIF", "jfif": "JPEG", "webp": "WEBP"}[name.removeprefix("film.")]
            Image.fromarray(film).save(tmp_path / name, kind)
        else:
            write_dicom(tmp_path / "film.dcm", film).rename(tmp_path / name)
    (tmp_path / "README").write_text("no film")
    (tmp_path / "labels.csv").write_text("path,label\n")
    (tmp_path / "folder.PNG").mkdir()
    assert [Path(found.address).name for found in find_films([str(tmp_path)])] == sorted([*names, "folder.PNG"])
    assert "left out: 2 files that are not films by suffix or content" in caplog.text
    assert "README" not in caplog.text


def test_workers_and_batches_change_no_prediction(predictor: Predictor, films: Path, tmp_path: Path) -> None:
    for workers in (1, 3):
        predict_into(tmp_path / f"{workers}.csv", predictor, [str(films)], workers)
    assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "3.csv").read_bytes()


def stopping_after(count: int, original: object) -> object:
    def outcomes(*arguments: object) -> Iterator[object]:
        for at, outcome in enumerate(original(*arguments)):  # type: ignore[operator]
            if at == count:
                raise KeyboardInterrupt
            yield outcome

    return outcomes


def test_a_stopped_run_resumes(
    predictor: Predictor, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict_into(tmp_path / "whole.csv", predictor, [str(films)], 2)
    out, original, seen = tmp_path / "out.csv", many.outcomes, []
    with monkeypatch.context() as patched:
        patched.setattr(many, "outcomes", stopping_after(7, original))
        with pytest.raises(KeyboardInterrupt):
            predict_into(out, predictor, [str(films)], 2)
    assert not out.exists()
    with (tmp_path / "out.csv.partial").open("a") as stream:
        stream.write('{"key": "cut sho')  # by the kill
    monkeypatch.setattr(many, "outcomes", lambda *given: seen.append(given[1]) or original(*given))
    predict_into(out, predictor, [str(films)], 2)
    assert len(seen[0]) == 16 - 7
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not (tmp_path / "out.csv.partial").exists()


def test_a_changed_film_or_another_bundle_is_predicted_again(
    predictor: Predictor, films: Path, tmp_path: Path, project_of_three: Project
) -> None:
    out, named = tmp_path / "out.csv", find_films([str(films)])
    many.predict_all(predictor, named, ProgressLog(out, predictor.version), 1)
    shutil.copy(films / "sub1/film01.png", films / "sub0/film00.png")
    again = find_films([str(films)])
    journal = ProgressLog(out, predictor.version)
    assert [film.address for film in again if journal.done(film) is None] == [str(films / "sub0/film00.png")]
    assert ProgressLog(out, Predictor.load(project_of_three.bundle).version).records == {}


def test_a_decoder_error_does_not_end_the_run(
    predictor: Predictor, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Predictor, "prepare", lambda self, source, declared: 1 // 0)
    records = predict_into(tmp_path / "out.csv", predictor, [str(films)], 2)
    assert {record.row["rejected"] for record in records} == {
        "cannot be read (ZeroDivisionError); replace or remove it"
    }


def test_a_non_regular_file_with_the_name_of_a_film_is_rejected_and_does_not_end_the_run(
    predictor: Predictor, films: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "odd"
    (folder / "folder.jpg").mkdir(parents=True)
    os.mkfifo(folder / "pipe.png")
    (folder / "dangling.png").symlink_to("nowhere")
    shutil.copy(films / "sub0/film00.png", folder / "#1\r.png")
    predict_into(tmp_path / "out.csv", predictor, [str(folder)], 1)
    found = pd.read_csv(tmp_path / "out.csv", keep_default_na=False).set_index("film")["rejected"]
    assert {Path(str(name)).name: reason.partition("(")[0] for name, reason in found.items()} == {
        "#1\r.png": "",
        "dangling.png": "cannot be read ",
        "folder.jpg": "a folder, pipe, socket or device, not a file; rename or remove it",
        "pipe.png": "a folder, pipe, socket or device, not a file; rename or remove it",
    }


def test_overlays_has_a_picture_for_each_predicted_film(predictor: Predictor, films: Path, tmp_path: Path) -> None:
    folder = tmp_path / "overlays"
    predict_into(tmp_path / "out.csv", predictor, [str(films)], 2, folder)
    pictures = list(folder.glob("*.png"))
    assert len(pictures) == 13
    assert all(cv2.imread(str(path)).shape[2] == 3 for path in pictures)


def test_a_name_without_a_film_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CxrError, match="no film"):
        find_films([str(tmp_path / "nowhere")])


def test_the_command_line_predicts_three_classes(
    project_of_three: Project, films: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "three.csv"
    with caplog.at_level("INFO"):
        main(["predict", str(films), "--bundle", str(project_of_three.bundle), "--out", str(out), "--workers", "1"])
    assert f"bundle {project_of_three.bundle}, version " in caplog.text
    row = rows(out)["film00.png"]
    shares = [float(row[f"probability_{name}"]) for name in project_of_three.classes]
    assert sum(shares) == pytest.approx(1, abs=1e-5)
    assert row["decision"] == project_of_three.classes[shares.index(max(shares))]


def test_a_table_declares_age_and_view_and_another_table_predicts_the_films_anew(
    predictor: Predictor, films: Path, tmp_path: Path
) -> None:
    table = tmp_path / "known.csv"
    table.write_text("path,age,view\nfilm00.png,45,PA\nsub1/film01.png,,\n")
    predict_into(tmp_path / "out.csv", predictor, [str(films / "sub0"), str(films / "sub1")], 2, metadata=table)
    found = rows(tmp_path / "out.csv")
    assert (found["film00.png"]["age"], found["film00.png"]["view"]) == ("45", "PA")
    assert (found["film01.png"]["age"], found["film02.png"]["view"]) == ("unknown", "unknown")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("path,sex\nfilm00.png,M\n", "no column 'age'"),
        ("path,age\nfilm00.png,old\n", r"known.csv:2: the age is neither years"),
        ("path,age\nfilm00.png,4\nsub0/film00.png,5\n", r"known.csv:3: two rows about .*film00.png differ"),
    ],
)
def test_a_faulty_table_of_ages_is_reported_before_any_film_is_read(
    predictor: Predictor, films: Path, tmp_path: Path, content: str, error: str
) -> None:
    (tmp_path / "known.csv").write_text(content)
    with pytest.raises(CxrError, match=error):
        predict_into(tmp_path / "out.csv", predictor, [str(films)], 2, metadata=tmp_path / "known.csv")
    assert not (tmp_path / "out.csv").exists()
