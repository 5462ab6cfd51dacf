import json
import os
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pydicom
import pytest

from cxr.core.errors import CxrError
from cxr.films.manifest import Record, read_manifest
from cxr.ingest import film as inspect
from cxr.ingest.config import FOLDS, DataSection
from cxr.ingest.ingest import ingest
from tests.conftest import phantom, write_dicom, write_image
from tests.settings import machine, section

FOLDERS: dict[str, Any] = {
    "root": "films",
    "layout": "folders",
    "classes": ("normal", "pneumonia"),
    "path_pattern": r"(?P<patient_id>P\d+)",
    "patient_from": "pattern",
    "masks_dir": "none",
    "test_fraction": 0.0,
}


def settings(**changes: Any) -> DataSection:
    return section(DataSection, **{**FOLDERS, **changes})


def write_cohort(root: Path, patients: int = 20, films: int = 2, split: str = "") -> None:
    for patient in range(patients):
        label = ("NORMAL", "PNEUMONIA")[patient % 2]
        for film in range(films):
            name = root / split / label / f"P{patient:03d}_{film}.png"
            write_image(name, phantom(1000 * len(split) + 10 * patient + film)[0])


def run(one: DataSection, workers: int = 1) -> list[Record]:
    ingest(one, machine(workers=workers), Path("data"))
    return read_manifest(Path("data/manifest.csv"))[0]


def test_class_folders_without_splits_are_split_by_patient(workspace: Path) -> None:
    write_cohort(workspace / "films")
    records = run(settings(test_fraction=0.2))
    assert len(records) == 40
    assert {record.label for record in records} == {"normal", "pneumonia"}
    for split, patients in (("val", 4), ("test", 4), ("train", 12)):
        assert len({record.patient_id for record in records if record.split == split}) == patients


def test_patients_never_cross_splits(workspace: Path) -> None:
    write_cohort(workspace / "films", patients=30, films=3)
    records = run(settings(test_fraction=0.3))
    splits: dict[str, set[str]] = {}
    for record in records:
        splits.setdefault(record.patient_id, set()).add(record.split)
    assert all(len(found) == 1 for found in splits.values())


def test_the_cut_is_stratified_by_label(workspace: Path) -> None:
    write_cohort(workspace / "films", patients=40, films=1)
    records = run(settings(val_fraction=0.25))
    validation = [record.label for record in records if record.split == "val"]
    assert sorted(validation) == ["normal"] * 5 + ["pneumonia"] * 5


def test_one_more_patient_moves_at_most_one_patient(workspace: Path) -> None:
    write_cohort(workspace / "films", patients=40, films=1)
    before = {record.patient_id: record.split for record in run(settings())}
    write_image(workspace / "films/NORMAL/P999_0.png", phantom(77)[0])
    after = {record.patient_id: record.split for record in run(settings())}
    assert sum(before[patient] != after[patient] for patient in before) <= 1


def test_given_splits_are_kept_and_only_validation_is_cut(workspace: Path) -> None:
    write_cohort(workspace / "films", split="train")
    write_image(workspace / "films/test/NORMAL/P900_0.png", phantom(1)[0])
    write_image(workspace / "films/test/PNEUMONIA/P901_0.png", phantom(2)[0])
    records = run(settings())
    assert {record.patient_id for record in records if record.split == "test"} == {"P900", "P901"}
    assert {record.split for record in records} == {"train", "val", "test"}


def test_a_published_validation_set_can_be_merged_into_train_and_cut_anew(workspace: Path) -> None:
    write_cohort(workspace / "films", split="train")
    write_image(workspace / "films/val/NORMAL/P900_0.png", phantom(1)[0])
    write_image(workspace / "films/val/PNEUMONIA/P901_0.png", phantom(2)[0])
    kept = run(settings())
    merged = run(settings(published_val="merge"))
    assert [record.patient_id for record in kept if record.split == "val"] == ["P900", "P901"]
    assert len({record.patient_id for record in merged if record.split == "val"}) == 4


def test_the_folds_share_no_patient_cover_all_and_have_the_same_share_of_each_class(workspace: Path) -> None:
    write_cohort(workspace / "films", patients=40, films=2)
    folds = [[record for record in run(settings(fold=fold)) if record.split == "val"] for fold in range(FOLDS)]
    assert sorted(record.image_id for fold in folds for record in fold) == sorted(r.image_id for r in run(settings()))
    for fold in folds:
        assert sorted(record.label for record in fold) == ["normal"] * 8 + ["pneumonia"] * 8
    patients = [{record.patient_id for record in fold} for fold in folds]
    assert sum(map(len, patients)) == len(set.union(*patients)) == 40


def test_a_fold_leaves_test_films_alone_and_takes_a_published_validation_set(workspace: Path) -> None:
    write_cohort(workspace / "films", split="train")
    write_image(workspace / "films/test/NORMAL/P900_0.png", phantom(1)[0])
    write_image(workspace / "films/test/PNEUMONIA/P901_0.png", phantom(2)[0])
    write_image(workspace / "films/val/NORMAL/P902_0.png", phantom(3)[0])
    seen = []
    for fold in range(FOLDS):
        records = run(settings(fold=fold))
        assert {record.patient_id for record in records if record.split == "test"} == {"P900", "P901"}
        seen += [record.patient_id for record in records if record.split == "val"]
    assert seen.count("P902") == 1
    assert len(set(seen)) == 21


def test_identical_films_of_two_patients_are_in_one_fold(workspace: Path) -> None:
    write_cohort(workspace / "films", patients=20, films=1)
    twin = phantom(4242)[0]
    for patient in (0, 2):
        write_image(workspace / f"films/NORMAL/P{patient:03d}_twin.png", twin)
    for fold in range(FOLDS):
        records = run(settings(fold=fold))
        assert len({record.split for record in records if record.patient_id in ("P000", "P002")}) == 1


def test_a_patient_in_two_splits_stops_the_stage_and_is_named(workspace: Path) -> None:
    write_cohort(workspace / "films", split="train")
    write_image(workspace / "films/test/NORMAL/P000_9.png", phantom(5)[0])
    with pytest.raises(CxrError, match=r"leakage: 1 patient in two splits, such as patient P000 in films/t"):
        run(settings())
    assert not Path("data/manifest.csv").exists()


def test_an_identical_film_in_two_splits_stops_the_stage_even_in_another_format(workspace: Path) -> None:
    write_cohort(workspace / "films", split="train")
    film = cv2.imread("films/train/NORMAL/P000_0.png", cv2.IMREAD_UNCHANGED)
    write_image(workspace / "films/test/NORMAL/P900_0.bmp", film)
    with pytest.raises(CxrError, match=r"leakage: 1 film in two splits, such as .*P000_0\.png and .*P900_0\.bmp"):
        run(settings())


def test_a_leak_of_many_patients_gives_three_examples_and_the_file_with_all(workspace: Path) -> None:
    write_cohort(workspace / "films", split="train")
    write_cohort(workspace / "films", patients=6, split="test")
    with pytest.raises(
        CxrError, match=r"leakage: 6 patients .*P000 .*P001 .*P002 .* \(all 6 in data/findings\.csv\)"
    ) as caught:
        run(settings())
    assert "P003" not in str(caught.value)
    listed = pd.read_csv("data/findings.csv")
    assert sum(listed["place"].str.contains(r"patient P00[0-5] in films/train/.* and films/test/", na=False)) == 6
    run(settings(on_leakage="drop_from_train"))
    assert pd.read_csv("data/findings.csv")["severity"].tolist() == ["warning"] * 6


def test_leaking_films_can_be_dropped_from_train(workspace: Path) -> None:
    write_cohort(workspace / "films", split="train")
    write_image(workspace / "films/test/NORMAL/P000_9.png", phantom(5)[0])
    records = run(settings(on_leakage="drop_from_train"))
    assert [record.split for record in records if record.patient_id == "P000"] == ["test"]


def test_identical_films_of_two_patients_stay_in_one_split(workspace: Path) -> None:
    write_cohort(workspace / "films", patients=20, films=1)
    twin = phantom(4242)[0]
    for patient in range(0, 10, 2):
        write_image(workspace / f"films/NORMAL/P{patient:03d}_twin.png", twin)
    records = run(settings(val_fraction=0.5))
    assert len({record.split for record in records if record.image_id.endswith("twin")}) == 1


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.png", b"", "unreadable: empty file"),
        ("text.png", b"hello", "unreadable: cannot be decoded"),
        ("text.dcm", b"hello", "unreadable: cannot be decoded as DICOM"),
        ("black.png", np.zeros((100, 100), np.uint8), "constant"),
        ("tiny.png", phantom(0, 30, 30)[0], "tiny"),
        ("flag.png", np.dstack([phantom(0)[0] // 4, phantom(1)[0], phantom(2)[0] // 2]), "not a radiograph: "),
        ("strip.png", phantom(0, 400, 70)[0], "not a radiograph: 400x70"),
        ("mask.png", phantom(0)[1], "not a radiograph: 2 grey levels"),
    ],
)
def test_a_film_that_cannot_be_used_is_quarantined_with_its_reason(
    workspace: Path, name: str, content: Any, reason: str
) -> None:
    write_cohort(workspace / "films")
    path = workspace / "films/NORMAL" / f"P500_{name}"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        write_image(path, content)
    records = run(settings())
    quarantine = pd.read_csv("data/quarantine.csv")
    assert len(records) == 40
    assert quarantine["path"].tolist() == [f"films/NORMAL/P500_{name}"]
    assert quarantine["reason"][0].startswith(reason)


def test_a_non_regular_file_with_the_suffix_of_a_film_is_quarantined(workspace: Path) -> None:
    write_cohort(workspace / "films", patients=40)
    folder = workspace / "films/NORMAL"
    (folder / "x.jpg").mkdir()  # its name names no patient either
    write_image(folder / "x.jpg/P500.png", phantom(500)[0])
    (folder / "link.png").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.png")
    records = run(settings())
    assert len(records) == 81
    quarantine = pd.read_csv("data/quarantine.csv")
    assert [Path(path).name for path in quarantine["path"]] == ["link.png", "pipe.png", "x.jpg"]
    assert quarantine["reason"].str.contains("; re").all()


def test_links_to_folders_are_reported_because_they_are_not_followed(
    workspace: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_cohort(workspace / "films")
    (workspace / "films/PNEUMONIA").rename(workspace / "elsewhere")
    (workspace / "films/PNEUMONIA").symlink_to(workspace / "elsewhere")
    with pytest.raises(CxrError, match="no film of class 'pneumonia'"):
        run(settings())
    (workspace / "films/PNEUMONIA").unlink()
    (workspace / "elsewhere").rename(workspace / "films/PNEUMONIA")
    (workspace / "films/NORMAL/more").symlink_to(workspace / "films/PNEUMONIA")
    run(settings())
    assert "1 folders under films are links and are skipped, such as films/NORMAL/more; copy them" in caplog.text


def test_a_row_that_names_a_folder_or_a_pipe_is_quarantined(workspace: Path) -> None:
    for index in range(8):
        write_dicom(workspace / f"films/{index}.dcm", phantom(index)[0])
    (workspace / "films/8.dcm").mkdir()
    os.mkfifo(workspace / "films/9.dcm")
    (workspace / "films/0.dcm.dcm").mkdir()
    (workspace / "films/0.dcm").rename(workspace / "films/0.dcm.dcm/0.dcm")  # a film in a folder of its name
    rows = [(f"{index}.dcm", index % 2) for index in range(10)]
    pd.DataFrame(rows, columns=["path", "label"]).to_csv("films/labels.csv", index=False)
    for layout in ("dicom", "csv"):
        if layout == "csv":
            (workspace / "films/0.dcm.dcm/0.dcm").rename(workspace / "films/0.dcm")
        columns = {"path": "path", "label": "label"}
        changes = {"layout": layout, "columns": columns, "patient_from": "image", "path_pattern": "none"}
        assert len(run(settings(**changes, max_quarantined=0.5))) == 8
        assert len(pd.read_csv("data/quarantine.csv")) == 2


def test_a_truncated_jpeg_is_quarantined(workspace: Path) -> None:
    write_cohort(workspace / "films")
    path = write_image(workspace / "films/NORMAL/P500.jpg", phantom(3)[0])
    path.write_bytes(path.read_bytes()[:-40])
    assert len(run(settings())) == 40


def test_too_many_unusable_films_stop_the_run(workspace: Path) -> None:
    write_cohort(workspace / "films", patients=6, films=1)
    (workspace / "films/NORMAL/P500.png").write_bytes(b"no film")
    with pytest.raises(CxrError, match=r"1 of 7 films cannot be used, more than data\.max_quarantined = 0\.05; .*P500"):
        run(settings())
    assert len(pd.read_csv("data/quarantine.csv")) == 1


def test_two_runs_and_two_workers_write_the_same_bytes(workspace: Path) -> None:
    write_cohort(workspace / "films")
    written = []
    for workers in (1, 1, 2):
        run(settings(test_fraction=0.2), workers)
        written.append([Path("data", name).read_bytes() for name in ("manifest.csv", "quarantine.csv", "audit.json")])
    assert written[0] == written[1] == written[2]


def test_an_added_film_opens_only_that_film(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    write_cohort(workspace / "films")
    run(settings())
    write_image(workspace / "films/NORMAL/P100_0.png", phantom(999)[0])
    opened = []
    original = inspect.decode
    monkeypatch.setattr(inspect, "decode", lambda source: (opened.append(source.address), original(source))[1])
    run(settings())
    assert opened == ["films/NORMAL/P100_0.png"]


def test_films_with_one_stem_get_ids_from_their_paths(workspace: Path) -> None:
    for index, label in enumerate(("NORMAL", "PNEUMONIA")):
        for film in range(4):
            write_image(workspace / f"films/{label}/{film}.png", phantom(10 * index + film)[0])
    records = run(settings(path_pattern="none", patient_from="image"))
    assert len({record.image_id for record in records}) == 8
    assert records[0].image_id == "NORMAL__0.png"


def test_subgroups_come_from_named_groups_and_the_label_can_too(workspace: Path) -> None:
    for index in range(8):
        write_image(workspace / f"films/NORMAL/IM-{index}.png", phantom(index)[0])
        cause = ("bacteria", "virus")[index % 2]
        write_image(workspace / f"films/PNEUMONIA/person{index}_{cause}_1.png", phantom(100 + index)[0])
    pattern = r"(?P<patient_id>person\d+|IM-\d+)(_(?P<label>bacteria|virus))?"
    records = run(settings(classes=("normal", "bacteria", "virus"), path_pattern=pattern))
    assert {record.label for record in records} == {"normal", "bacteria", "virus"}
    binary = run(settings(path_pattern=pattern.replace("label", "cause")))
    assert {record.attributes["cause"] for record in binary} == {"", "bacteria", "virus"}


def test_reference_masks_are_found_by_stem_and_not_taken_for_films(workspace: Path) -> None:
    write_cohort(workspace / "films")
    write_image(workspace / "films/lung_masks/NORMAL/P000_0.png", phantom(0)[1])
    records = run(settings(masks_dir="lung_masks"))
    masks = {record.image_id: record.mask_path for record in records if record.mask_path}
    assert masks == {"P000_0": "films/lung_masks/NORMAL/P000_0.png"}


def write_csv_cohort(root: Path, columns: tuple[str, ...] = ("path", "label", "patient_id", "split", "sex")) -> None:
    rows = []
    for index in range(12):
        write_image(root / f"images/{index}.png", phantom(index)[0])
        split = "test" if index >= 8 else "train"
        rows.append((f"images/{index}.png", str(index % 2), f"p{index // 2}", split, "F"))
    table = pd.DataFrame(rows, columns=["path", "label", "patient_id", "split", "sex"])
    table[list(columns)].to_csv(root / "labels.csv", index=False)


def test_a_csv_gives_labels_patients_splits_and_subgroups(workspace: Path) -> None:
    write_csv_cohort(workspace / "films")
    records = run(settings(layout="csv", patient_from="column", path_pattern="none"))
    assert {record.patient_id for record in records} == {f"p{index}" for index in range(6)}
    assert sum(record.split == "test" for record in records) == 4
    assert {record.attributes["sex"] for record in records} == {"F"}


def test_a_csv_without_its_columns_is_named_with_the_columns_that_it_has(workspace: Path) -> None:
    write_csv_cohort(workspace / "films", ("path", "patient_id"))
    with pytest.raises(CxrError, match=r"labels\.csv: no column 'label'; it has 'path', 'patient_id'"):
        run(settings(layout="csv", patient_from="column", path_pattern="none"))


def test_an_unknown_label_is_named_with_its_row_and_the_classes(workspace: Path) -> None:
    write_csv_cohort(workspace / "films")
    text = Path("films/labels.csv").read_text().replace("images/3.png,1", "images/3.png,pneumona")
    Path("films/labels.csv").write_text(text)
    with pytest.raises(CxrError, match=r"unknown label 'pneumona' \(1\); did you mean 'pneumonia'.*labels\.csv:5"):
        run(settings(layout="csv", patient_from="column", path_pattern="none"))


def test_a_film_named_in_the_csv_but_missing_is_quarantined(workspace: Path) -> None:
    write_csv_cohort(workspace / "films")
    Path("films/images/0.png").unlink()
    run(settings(layout="csv", patient_from="column", path_pattern="none", max_quarantined=0.2))
    assert pd.read_csv("data/quarantine.csv")["reason"][0].startswith("unreadable: cannot be read")


def write_dicom_cohort(root: Path) -> None:
    rows = []
    for index in range(8):
        photometric = ("MONOCHROME1", "MONOCHROME2")[index % 2]
        name = f"{index % 3}/film{index}.dcm"
        write_dicom(root / name, phantom(index)[0], 12, photometric, PatientID=f"d{index // 2}", ViewPosition="AP")
        rows += [(f"film{index}", index % 2, "box")] * (1 + index % 2)  # a film may stand on a row a finding
    pd.DataFrame(rows, columns=["patientId", "Target", "finding"]).to_csv(root / "labels.csv", index=False)


def dicom_settings(**changes: Any) -> DataSection:
    columns = {"path": "patientId", "label": "Target"}
    given = {"layout": "dicom", "columns": columns, "patient_from": "dicom", "path_pattern": "none"}
    return settings(**{**given, **changes})


def test_a_dicom_folder_takes_patients_from_the_tag_and_labels_from_a_csv_by_stem(workspace: Path) -> None:
    write_dicom_cohort(workspace / "films")
    records = run(dicom_settings(patient_ids="as_is"))
    assert len(records) == 8
    assert {record.patient_id for record in records} == {"d0", "d1", "d2", "d3"}
    assert {record.attributes["view"] for record in records} == {"AP"}
    assert {record.bits for record in records} == {12}


DICOM_NAMES = ["IM000001", "UPPER.DCM", "1.2.840.113619.2.55", "1.2.840.113619.2.56", "two.dots.dcm", "plain.dcm"]


@pytest.mark.parametrize("layout", ["dicom", "csv", "folders"])
def test_dicom_films_are_found_whatever_their_names(workspace: Path, layout: str) -> None:
    rows = []
    for index, name in enumerate([*DICOM_NAMES, *(f"{letter}.dcm" for letter in "abcdef")]):
        label = ("normal", "pneumonia")[index % 2]
        write_dicom(workspace / "films" / label / "film.dcm", phantom(index)[0]).rename(
            workspace / "films" / label / name
        )
        rows.append((f"{label}/{name}" if layout == "csv" else name, label))
    if layout != "folders":
        pd.DataFrame(rows, columns=["patientId", "Target"]).to_csv(workspace / "films/labels.csv", index=False)
        (workspace / "films/DICOMDIR").write_bytes(bytes(128) + b"DICM")
    records = run(dicom_settings(layout=layout, patient_from="image"))
    assert {(Path(record.path).name, record.label) for record in records} == {(Path(n).name, name) for n, name in rows}


def test_display_attributes_that_cannot_be_used_cost_no_film_and_are_counted(
    workspace: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_dicom_cohort(workspace / "films")
    run(dicom_settings(patient_ids="as_is"))
    assert json.loads(Path("data/audit.json").read_text())["display_attributes_skipped"] == {}
    assert "display attributes" not in caplog.text
    for path in sorted((workspace / "films").rglob("*.dcm")):
        dataset = pydicom.dcmread(path)
        dataset.WindowCenter, dataset.WindowWidth = "2048", "0"
        if path == min((workspace / "films").rglob("*.dcm")):
            dataset.RescaleSlope = dataset.RescaleIntercept = ""
        dataset.save_as(path)
    films = len(run(dicom_settings(patient_ids="as_is")))
    assert films == len(list((workspace / "films").rglob("*.dcm")))
    skipped = {"rescale: RescaleSlope is empty": 1, "window: width is zero or too small": films}
    assert json.loads(Path("data/audit.json").read_text())["display_attributes_skipped"] == skipped
    assert f"{films} DICOM films, such as films/" in caplog.text
    assert "(rescale: RescaleSlope is empty: 1, window: width is zero or too small: " in caplog.text


def test_rows_without_their_dicom_files_are_an_error_that_names_the_rows(workspace: Path) -> None:
    write_dicom_cohort(workspace / "films")
    Path("films/0/film0.dcm").unlink()
    with pytest.raises(CxrError, match=r"1 of 8 rows name a missing file, such as films/labels\.csv:2 'film0'"):
        run(dicom_settings(patient_ids="as_is"))


def test_a_film_with_two_labels_is_an_error(workspace: Path) -> None:
    write_csv_cohort(workspace / "films")
    with Path("films/labels.csv").open("a") as file:
        file.write("images/0.png,1,p0,train,F\n")
    with pytest.raises(
        CxrError, match=r"films have rows with two labels, such as \S+:14 'images/0\.png', both 'normal' and"
    ):
        run(settings(layout="csv", patient_from="column", path_pattern="none"))


def test_a_label_map_translates_other_spellings(workspace: Path) -> None:
    write_csv_cohort(workspace / "films")
    one = settings(
        layout="csv", patient_from="column", path_pattern="none", label_map={"0": "pneumonia", "1": "normal"}
    )
    assert {record.image_id: record.label for record in run(one)}["0"] == "pneumonia"


def test_medmnist_films_are_read_with_their_splits(workspace: Path) -> None:
    random = np.random.default_rng(0)
    arrays = {}
    for split, films in (("train", 6), ("val", 4)):
        arrays[f"{split}_images"] = random.integers(0, 255, (films, 28, 28), dtype=np.uint8)
        arrays[f"{split}_labels"] = (np.arange(films) % 2).reshape(-1, 1)
    np.savez(workspace / "tiny.npz", **arrays)
    one = settings(root="tiny.npz", layout="medmnist", path_pattern="none", patient_from="image", min_px=28)
    records = run(one)
    assert [record.split for record in records].count("val") == 4
    assert records[0].path == "tiny.npz#train/0"
    assert records[1].label == "pneumonia"


def test_a_missing_root_and_an_empty_one_give_different_errors(workspace: Path) -> None:
    with pytest.raises(CxrError, match=r"data\.root: films: no such file or folder"):
        run(settings())
    (workspace / "films").mkdir()
    with pytest.raises(CxrError, match=r"films: no films in layout 'folders'"):
        run(settings())


def test_an_unknown_class_folder_is_named(workspace: Path) -> None:
    write_cohort(workspace / "films")
    write_image(workspace / "films/COVID/P700.png", phantom(1)[0])
    with pytest.raises(CxrError, match=r"films: unknown label 'COVID' \(1\) .*films/COVID/P700\.png"):
        run(settings())


def test_a_film_without_a_patient_is_named_with_the_pattern(workspace: Path) -> None:
    write_cohort(workspace / "films")
    write_image(workspace / "films/NORMAL/unknown.png", phantom(1)[0])
    with pytest.raises(
        CxrError,
        match=re.escape(
            "data.path_pattern: (?P<patient_id>P\\d+) finds no patient in 1 of 41 paths, such as NORMAL/unknown.png"
        ),
    ):
        run(settings())
