"""`python -m cxr check`: films, machine and settings before a run."""

import os
import shutil
from pathlib import Path

import cv2
import pytest

from cxr.__main__ import main
from cxr.commands.check import CheckReport, check_cohort, check_machine
from cxr.core.errors import CxrError
from cxr.ingest.config import DataSection
from cxr.ingest.pseudonyms import VARIABLE
from cxr.preprocess.config import PreprocessSection
from cxr.train.config import TrainSection
from tests.ingest.test_ingest import write_cohort
from tests.settings import machine, section

ROOT = Path(__file__).parents[2]
TRAIN = section(TrainSection, balance="none")
OWN = {"root": "films", "path_pattern": r"(?P<patient_id>P\d+)", "masks_dir": "auto"}


def rows_of(report: CheckReport) -> dict[str, str]:
    return dict(report.rows)


def test_films_are_counted_by_class_patient_and_split(workspace: Path) -> None:
    write_cohort(workspace / "films", patients=10, films=2)
    report = CheckReport()
    assert len(check_cohort(section(DataSection, **OWN, val_fraction=0.25, test_fraction=0.0), TRAIN, report)) == 20
    rows = rows_of(report)
    assert rows["films"] == "20 in films, layout folders"
    assert rows["classes"] == "normal 10, pneumonia 10"
    assert rows["patients"].startswith("10, from data.patient_from: pattern; NORMAL/P000_0.png is of patient P000")
    assert rows["splits"] == "train 20; val: 25% of the patients, cut from train; test: none"
    assert rows["lung masks"] == "no reference masks"
    assert [line.partition(":")[0] for line in report.warnings] == ["no test set"]
    assert report.faults == []


@pytest.mark.parametrize("emptied", [False, True], ids=["missing", "emptied while data.root was another folder"])
def test_a_demo_cohort_not_drawn_yet_is_no_error(workspace: Path, emptied: bool) -> None:
    if emptied:
        (workspace / "data/demo").mkdir(parents=True)
    report = CheckReport()
    assert check_cohort(section(DataSection, root="data/demo"), TRAIN, report) == []
    assert rows_of(report)["films"].startswith("data/demo: not drawn yet; the next `dvc repro` draws")
    assert report.faults == []


def test_an_empty_folder_of_own_films_is_an_error(workspace: Path) -> None:
    (workspace / "films").mkdir()
    report = CheckReport()
    check_cohort(section(DataSection, **OWN), TRAIN, report)
    assert report.faults == ["films: no films in layout 'folders'; check data.root and data.layout"]


def test_ids_that_will_be_hashed_are_not_shown(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "0123456789abcdef" * 4)
    write_cohort(workspace / "films", patients=4)
    report = CheckReport()
    films = check_cohort(section(DataSection, **OWN, patient_ids="hashed"), TRAIN, report)
    assert rows_of(report)["patients"] == "4, from data.patient_from: pattern; their ids will be hashed"
    assert {film.patient_id for film in films} == {None}


def test_files_that_dvc_fails_or_hangs_on_give_warnings(workspace: Path) -> None:
    write_cohort(workspace / "films", patients=4)
    os.mkfifo(workspace / "films/NORMAL/P000.png")
    for path in (workspace / "films").glob("*/P0*_*.png"):
        path.rename(path.with_name(f"{os.fsdecode(bytes([255]))}{path.name}"))
    report = CheckReport()
    check_cohort(section(DataSection, **OWN), TRAIN, report)
    assert report.as_text().encode()
    assert any(
        r"8 names under films are not UTF-8, such as films/NORMAL/\udcffP000_0.png" in line for line in report.warnings
    )
    assert any(
        "1 entries under films are not regular files, such as films/NORMAL/P000.png" in line for line in report.warnings
    )


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"root": "nowhere"}, "data.root: nowhere is missing; copy the films, or fetch them with `dvc pull`"),
        ({"path_pattern": r"(?P<patient_id>Q\d+)"}, "finds no patient in 4 of 4 paths"),
        ({"classes": ("normal", "pneumonia", "covid")}, "data.classes: no film of class 'covid'"),
        ({"classes": ("normal", "tuberculosis")}, "unknown label 'PNEUMONIA'"),
    ],
)
def test_errors_of_the_cohort_are_reported_before_any_film_is_opened(
    workspace: Path, changes: dict[str, object], fault: str
) -> None:
    write_cohort(workspace / "films", patients=2)
    report = CheckReport()
    check_cohort(section(DataSection, **{**OWN, **changes}), TRAIN, report)
    assert len(report.faults) == 1
    assert fault in report.faults[0]


def test_all_errors_of_the_machine_are_reported_at_once(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("AWS_", "CXR_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", "none")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 1000))
    shutil.copy(ROOT / "compute.yaml", workspace)
    report = CheckReport()
    train = section(TrainSection, backbone="resnet18", weights="package")
    check_machine(train, section(PreprocessSection, image_px=224), machine(backend="sagemaker"), 5000, report)
    weights, disk, place = report.faults
    assert weights.startswith("train.weights: package: weights of tf_efficientnet_lite0")
    assert "5000 films of 224 pixels need about 4.3 GB; free some" in disk
    assert place.count("is not set") == 2


def test_the_command_prints_a_table_and_draws_the_films(
    workspace: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    write_cohort(workspace / "films", patients=20, films=1)
    (workspace / "films/NORMAL/P000_0.png").write_bytes(b"no picture")
    shutil.copy(ROOT / "compute.yaml", workspace)
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    assert text.count("root: data/demo") == 1
    Path("params.yaml").write_text(text.replace("root: data/demo", "root: films"), encoding="utf-8")
    with caplog.at_level("INFO"):
        main(["check"])
    assert "classes        normal 10, pneumonia 10\n" in capsys.readouterr().out
    assert "ready for `dvc repro`" in caplog.text
    sheet = cv2.imread("reports/films.png", cv2.IMREAD_GRAYSCALE)
    assert sheet is not None
    assert sheet.shape == (4 * 236, 6 * 200)
    assert sheet[:200, :200].min() < 60  # a film's lungs, or what is written in the place of one


def test_the_command_reports_every_error_of_the_settings(workspace: Path) -> None:
    shutil.copy(ROOT / "compute.yaml", workspace)
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    text = text.replace("threshold: fixed", "threshold: fixd").replace("  backbone:", "  lrr: 1\n  backbone:")
    Path("params.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(CxrError) as caught:
        main(["check"])
    assert str(caught.value).splitlines()[0] == "params.yaml: train.lrr: unknown parameter; did you mean 'lr'?"
    assert len(str(caught.value).splitlines()) == 2
