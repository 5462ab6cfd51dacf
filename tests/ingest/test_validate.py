"""What stops a run is found before any film is opened, and all of it at once."""

import re
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cxr.core.errors import CxrError
from cxr.films.medmnist import medmnist_array
from cxr.ingest.config import missing_films
from cxr.ingest.findings import Finding
from cxr.ingest.validate import validate_cohort
from tests.conftest import phantom, write_dicom, write_image
from tests.ingest.test_ingest import run, settings, write_cohort

TABLE: dict[str, Any] = {"layout": "csv", "patient_from": "column", "path_pattern": "none"}
NPZ: dict[str, Any] = {"root": "set.npz", "layout": "medmnist", "patient_from": "image", "path_pattern": "none"}


def findings(severity: str = "error", training: int | None = 1, **changes: Any) -> list[Finding]:
    """What the check finds, or with `training=None` what ingest finds."""
    return [one for one in validate_cohort(settings(**changes), b"", training)[1] if one.severity == severity]


def write_table(rows: list[str], header: str = "path,label,patient_id,split", films: int = 12) -> None:
    """Films 0.png, 1.png … and a table of `rows`."""
    for index in range(films):
        write_image(Path(f"films/{index}.png"), phantom(index, 64, 64)[0])
    Path("films/labels.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


def rows(films: int = 12) -> list[str]:
    return [f"{index}.png,{index % 2},p{index // 2},{'test' if index > 7 else 'train'}" for index in range(films)]


@pytest.mark.parametrize("training", [None, 1], ids=["ingest", "check"])
def test_a_patient_in_train_and_test_is_found_by_name(workspace: Path, training: int | None) -> None:
    write_cohort(workspace / "films", patients=20, split="train")
    write_cohort(workspace / "films", patients=2, split="test")
    (found,) = findings(training=training)
    assert str(found).startswith(
        "leakage: 2 patients in two splits, such as patient P000 in films/train/NORMAL/P000_0.png and"
    )
    assert findings(training=None, on_leakage="drop_from_train") == []
    assert {record.split for record in run(settings(on_leakage="drop_from_train"))} >= {"train", "test"}


@pytest.mark.parametrize(
    ("index", "row", "problem"),
    [
        (3, "3.png,1,,train", "column 'patient_id' is blank for 1 of 12 films"),
        (3, "3.png,1,p1,test", "leakage: 1 patient in two splits"),
        (3, "2.png,1,p1,train", "1 films have rows with two labels"),
        (3, "./2.png,0,p9,train", "1 films have rows with two patients"),
        (3, "2,0,p1,test", "1 films have rows with two splits"),
        (3, "3.png,1,p1,trial", "unknown split 'trial' (1); expected train, val or test; did you mean 'train'?"),
        (3, "3.png,,p1,train", "no label in 1 row"),
        (3, "lost.png,1,p1,train", "1 of 12 rows name a missing file"),
        (3, "3.png,1,p1,train,", ""),
        (3, "3.png,1,p1,train,x", "labels.csv:5: more values than the 4 columns, in line 5"),
    ],
)
def test_each_fault_of_a_row_is_one_error(workspace: Path, index: int, row: str, problem: str) -> None:
    given = rows()
    given[index] = row
    write_table(given)
    found = findings(training=None, **TABLE)
    assert len(found) == bool(problem)
    assert all(problem in str(one) for one in found)
    if problem:
        with pytest.raises(CxrError):
            run(settings(**TABLE))


def test_all_faults_of_a_table_are_reported_at_once(workspace: Path) -> None:
    write_table([*rows()[:9], "9.png,maybe,p4,trial", "10.png,,p5,test", "9.png,perhaps,p4,test", "10.png,1,,test"])
    text = "\n".join(map(str, findings(**TABLE)))
    for part in ("'maybe' (1), 'perhaps' (1); no label in 1 row", "column 'patient_id' is blank"):
        assert part in text


@pytest.mark.parametrize("name", ["{root}/films/{film}", "../films/{film}", "/elsewhere/{film}", ".\\{film}"])
def test_films_are_found_by_paths_of_any_kind(workspace: Path, name: str) -> None:
    given = [f"{name.format(root=workspace, film=row.split(',')[0])},{row.split(',', 1)[1]}" for row in rows()]
    write_table(given)
    assert findings(**TABLE) == []
    assert len(run(settings(**TABLE))) == 12


def test_rows_of_one_film_in_two_spellings_are_one_film(workspace: Path) -> None:
    write_table([*rows(), "./0.png,0,p0,train", "0,0,p0,train"])
    assert len(run(settings(**TABLE))) == 12


def test_a_name_that_two_films_share_is_an_error(workspace: Path) -> None:
    write_table(rows())
    write_image(Path("films/sub/0.png"), phantom(1, 64, 64)[0])
    assert findings(**TABLE) == []  # 0.png is the exact path of one of them
    write_table(["other/0.png,0,p0,train", *rows()[1:]])
    assert "1 rows have a name that several films share" in str(findings(**TABLE)[0])


@pytest.mark.parametrize("masks", ["nowhere", "*/nowhere"])
def test_a_folder_of_masks_that_does_not_exist_is_an_error(workspace: Path, masks: str) -> None:
    write_cohort(workspace / "films", patients=10)
    assert f"no folder films/{masks}" in str(findings(masks_dir=masks)[0])


def test_masks_without_films_are_reported(workspace: Path) -> None:
    write_cohort(workspace / "films", patients=10)
    write_image(workspace / "films/lung_masks/other.png", phantom(0)[1])
    assert "none of 1 masks has the name of a film" in str(findings(masks_dir="lung_masks")[0])
    write_image(workspace / "films/lung_masks/P000_0.png", phantom(0)[1])
    assert findings(masks_dir="lung_masks") == []
    assert "1 of 2 masks have the name of no film" in str(findings("warning", masks_dir="lung_masks")[0])


def test_splits_below_the_class_folders_are_kept(workspace: Path) -> None:
    for patient in range(12):
        split, label = ("test", "train", "train")[patient % 3], ("NORMAL", "PNEUMONIA")[patient % 2]
        write_image(workspace / f"films/{label}/{split}/P{patient:03d}.png", phantom(patient)[0])
    tested = {record.image_id for record in run(settings()) if record.split == "test"}
    assert tested == {"P000", "P003", "P006", "P009"}


@pytest.mark.parametrize("training", [None, 5], ids=["ingest", "check"])
def test_a_validation_set_of_one_class_is_an_error(workspace: Path, training: int | None) -> None:
    write_cohort(workspace / "films", patients=20, split="train")
    write_image(workspace / "films/val/NORMAL/P900.png", phantom(9)[0])
    (found,) = findings(training=training)
    assert str(found).startswith("split 'val' has no film of class 'pneumonia'; add films, or set data.published_val")
    assert findings(training=training, published_val="merge") == []


def test_a_class_that_loses_its_only_validation_film_stops_ingest(workspace: Path) -> None:
    write_cohort(workspace / "films", patients=20, split="train")
    write_image(workspace / "films/val/PNEUMONIA/P901.png", phantom(9)[0])
    lost = workspace / "films/val/NORMAL/P900.png"
    write_image(lost, phantom(8)[0])
    run(settings())
    lost.write_bytes(b"no film")
    with pytest.raises(CxrError, match="split 'val' has no film of class 'normal'; add films"):
        run(settings())


def test_a_class_of_too_few_patients_is_an_error_where_it_has_none_in_validation(workspace: Path) -> None:
    for patient in range(40):
        label = "PNEUMONIA" if patient < 2 else "NORMAL"
        write_image(workspace / f"films/{label}/P{patient:03d}.png", phantom(patient, 64, 64)[0])
    text = "\n".join(map(str, findings(training=5)))
    assert "split 'val' has no film of class 'pneumonia'; add patients of it, or raise data.val_fraction" in text
    few = "\n".join(map(str, findings("warning", training=5, val_fraction=0.5)))
    assert findings(training=5, val_fraction=0.5) == []
    assert "1 training patients of class 'pneumonia': train.balance: acquisition needs 5, else the films of a" in few


def test_dicom_films_without_a_patient_are_found_in_their_headers(workspace: Path) -> None:
    for index in range(8):
        write_dicom(workspace / f"films/{index}.dcm", phantom(index)[0], PatientID=f"d{index}" if index < 2 else "")
    rows = "\n".join(f"{index},{index % 2}" for index in range(8))
    (workspace / "films/labels.csv").write_text(f"path,label\n{rows}\n")
    given: dict[str, Any] = {"layout": "dicom", "patient_from": "dicom", "path_pattern": "none", "patient_ids": "as_is"}
    assert "tag PatientID is empty in 6 of 8 DICOM headers" in str(findings(**given)[0])


def write_npz(labels: Any, films: int = 12, names: tuple[str, str] = ("images", "labels")) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (films, 64, 64), dtype=np.uint8)
    images, given = names
    arrays = {f"{split}_{images}": pixels for split in ("train", "val")}
    np.savez("set.npz", **arrays, **{f"{split}_{given}": labels for split in ("train", "val")})
    medmnist_array.cache_clear()  # it knows files by name


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        (np.zeros((12, 14), int), "14 labels per film, a multi-label set such as ChestMNIST"),
        (np.arange(13) % 2, "13 labels for 12 films"),
        (np.arange(10) % 2, "10 labels for 12 films"),
        (np.array([*"ab"] * 6), "unknown labels 'a' (12), 'b' (12)"),
        (np.arange(12) % 2 * 0.5, "unknown label '0.5' (12)"),
        (np.array([0, 1] * 6, object), "array 'train_labels' cannot be read"),
    ],
)
def test_labels_of_an_npz_that_fit_no_film_are_errors(workspace: Path, labels: Any, problem: str) -> None:
    write_npz(labels)
    assert problem in str(findings(**NPZ)[0])
    with pytest.raises(CxrError):
        run(settings(**NPZ))


@pytest.mark.parametrize("kind", [np.float32, np.uint8, bool])
def test_labels_of_an_npz_may_have_any_type(workspace: Path, kind: Any) -> None:
    write_npz((np.arange(12) % 2).reshape(-1, 1).astype(kind))
    assert findings(**NPZ) == []


def test_arrays_of_other_names_are_named(workspace: Path) -> None:
    write_npz(np.arange(12) % 2, names=("x", "y"))
    assert "it has train_x, val_x, train_y, val_y; name them train_images" in str(findings(**NPZ)[0])


def test_an_identical_film_with_another_label_is_reported(workspace: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_cohort(workspace / "films")
    for label, patient in (("NORMAL", 500), ("PNEUMONIA", 501)):
        write_image(workspace / f"films/{label}/P{patient}.png", phantom(77)[0])
    run(settings())
    assert "1 films have an identical copy with another label, such as films/NORMAL/P500.png" in caplog.text


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
def test_korean_folders_of_a_mac_are_the_classes_that_were_typed(workspace: Path, on_disk: Any) -> None:
    for patient in range(12):
        label = unicodedata.normalize(on_disk, ("정상", "폐렴")[patient % 2])
        name = unicodedata.normalize(on_disk, f"환자{patient}_흉부.png")
        write_image(workspace / f"films/{label}/{name}", phantom(patient, 64, 64)[0])
    given = {"classes": ("정상", "폐렴"), "path_pattern": r"(?P<patient_id>환자\d+)"}
    assert findings(training=None, **given) == []
    assert {record.patient_id for record in run(settings(**given))} == {f"환자{patient}" for patient in range(12)}
    names = [str(path.relative_to("films")) for path in sorted(Path("films").rglob("*.png"))]
    rows = [unicodedata.normalize("NFC", f"{name},{name.split('/')[0]}") for name in names]
    Path("films/labels.csv").write_text("\n".join(["path,label", *rows, ""]), encoding="utf-8")
    assert len(run(settings(**given, layout="csv"))) == 12


def test_a_root_in_another_unicode_form_is_named_with_the_command_that_renames_it(workspace: Path) -> None:
    write_cohort(workspace / unicodedata.normalize("NFD", "data/흉부 사진"))
    (line,) = missing_films(settings(root="data/흉부 사진"))
    command = re.search(r"`mv '(.*)' '(.*)'`", line)
    assert command
    Path(command[1]).rename(command[2])
    assert missing_films(settings(root="data/흉부 사진")) == []


def test_yaml_numbers_are_spellings_of_labels(workspace: Path) -> None:
    write_table([f"{index}.png,{1.0 - index % 2},p{index},train" for index in range(12)])
    records = run(settings(**TABLE, label_map={1.0: "pneumonia", 0.0: "normal"}))
    assert [record.label for record in records].count("pneumonia") == 6


@pytest.mark.parametrize(
    "changes",
    [
        {"label_map": {"x": "tuberculosis"}},
        {"label_rules": [{"value": "x", "label": "tuberculosis"}]},
        {"classes": ("normal", "exclude")},
        {"split_map": {"a": "trial"}},
    ],
)
def test_settings_that_name_no_class_or_split_are_rejected(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"tuberculosis|exclude|trial"):
        settings(**changes)


def test_leftovers_of_windows_and_macs_are_no_films(workspace: Path) -> None:
    write_cohort(workspace / "films", patients=10)
    for name in ("NORMAL/Thumbs.db", "NORMAL/.DS_Store", "__MACOSX/NORMAL/._P000_0.png", "NORMAL/desktop.ini"):
        path = workspace / "films" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"leftover")
    assert len(run(settings())) == 20
    assert Path("data/quarantine.csv").read_text() == "path,reason\n"
