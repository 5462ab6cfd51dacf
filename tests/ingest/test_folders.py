"""Class folders as people have them: other names of splits, sites, masks beside films, a table instead of folders."""

from pathlib import Path
from typing import Any

import pytest

from cxr.ingest.findings import Finding
from cxr.ingest.validate import validate_cohort
from tests.conftest import phantom, write_image
from tests.ingest.test_ingest import run, settings, write_cohort


def findings(severity: str = "error", **changes: Any) -> list[Finding]:
    return [one for one in validate_cohort(settings(**changes), b"", 1)[1] if one.severity == severity]


def write_split(name: str, patients: range) -> None:
    for patient in patients:
        label = ("NORMAL", "PNEUMONIA")[patient % 2]
        write_image(Path(f"films/{name}/{label}/P{patient:03d}.png"), phantom(patient, 64, 64)[0])


@pytest.mark.parametrize(("train", "test"), [("Training", "Testing"), ("TRAIN", "Test")])
def test_usual_spellings_of_splits_are_known(workspace: Path, train: str, test: str) -> None:
    write_split(train, range(20))
    write_split(test, range(20, 30))
    assert sum(record.split == "test" for record in run(settings())) == 10


def test_an_unknown_split_beside_train_is_an_error_and_can_be_mapped(workspace: Path) -> None:
    write_split("train", range(20))
    write_split("holdout", range(20, 30))
    (found,) = findings()
    assert "folders 'holdout' (10) are no splits, but hold class folders" in str(found)
    assert "set data.split_map: {holdout: test}" in str(found)
    assert sum(record.split == "test" for record in run(settings(split_map={"holdout": "test"}))) == 10


def test_a_split_can_be_left_out_and_is_counted(workspace: Path) -> None:
    write_split("train", range(20))
    write_split("holdout", range(20, 30))
    assert "10 films or rows are left out by label: 'folder holdout' (10)" in "".join(
        map(str, findings("warning", split_map={"holdout": "exclude"}))
    )
    assert len(run(settings(split_map={"holdout": "exclude"}))) == 20


def test_sites_above_the_class_folders_are_read_with_the_pattern_of_the_message(workspace: Path) -> None:
    write_split("Seoul", range(20))
    write_split("Busan", range(20, 40))
    (found,) = findings()
    group = str(found).rpartition("a group for the class, ")[2]
    assert len(run(settings(path_pattern=f"{group}(?P<patient_id>P\\d+)"))) == 40


def test_masks_named_after_the_film_beside_them_are_no_films(workspace: Path) -> None:
    write_cohort(workspace / "films", patients=10, films=1)
    for film in list(Path("films").rglob("*.png")):
        write_image(film.with_name(f"{film.stem}_mask.png"), phantom(3)[1])
    (found,) = findings()
    assert "10 files look like masks of films beside them, such as NORMAL/P000_0_mask.png" in str(found)
    for mask in list(Path("films").rglob("*_mask.png")):  # as the remedy says
        target = Path("films/lung_masks", mask.name.replace("_mask", ""))
        target.parent.mkdir(exist_ok=True)
        mask.rename(target)
    assert sum(bool(record.mask_path) for record in run(settings(masks_dir="auto"))) == 10


def test_a_film_whose_name_ends_like_a_mask_without_a_film_beside_it_is_a_film(workspace: Path) -> None:
    write_cohort(workspace / "films", patients=20, films=1)
    Path("films/NORMAL/P000_0.png").rename("films/NORMAL/P000_mask.png")
    assert len(run(settings())) == 20


def test_a_folder_of_films_with_a_table_beside_it_is_read_by_the_table(workspace: Path) -> None:
    lines = ["path,label"]
    for index in range(20):
        write_image(Path(f"films/images/{index}.png"), phantom(index, 64, 64)[0])
        lines.append(f"{index}.png,{index % 2}")
    Path("films/labels.csv").write_text("\n".join(lines), encoding="utf-8")
    (found,) = findings()
    assert "if labels.csv has the labels, set data.layout: csv and data.labels_csv: labels.csv" in str(found)
    assert len(run(settings(layout="csv", labels_csv="labels.csv", patient_from="image", path_pattern="none"))) == 20


def test_films_left_out_by_label_are_counted(workspace: Path) -> None:
    write_cohort(workspace / "films", films=1)
    Path("films/PNEUMONIA").rename("films/COVID")
    write_cohort(workspace / "films", patients=30, films=1)
    (found,) = findings("warning", label_map={"COVID": "exclude"}, test_fraction=0.2)
    assert "10 films or rows are left out by label: 'COVID' (10)" in str(found)


def test_more_empty_films_than_allowed_are_found_before_any_is_opened(workspace: Path) -> None:
    write_cohort(workspace / "films")
    for film in list(Path("films/NORMAL").iterdir())[:3]:
        film.write_bytes(b"")
    assert "3 of 40 films are empty or no files, more than data.max_quarantined (0.05)" in str(findings()[0])
    assert len(run(settings(max_quarantined=0.1))) == 37


def test_a_policy_that_drops_all_of_train_says_so(workspace: Path) -> None:
    write_cohort(workspace / "films", split="train")
    write_cohort(workspace / "films", split="test")
    (found,) = findings(on_leakage="drop_from_train")
    assert str(found).startswith("no film is left to train on: 40 are in other splits; correct the splits")
    assert [one for one in findings(ignore=("train",)) if "name the split of each" in str(one)]
