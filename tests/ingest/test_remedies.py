"""Each error names a remedy; applied, the cohort is read."""

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from cxr.ingest.patients import suggest_pattern
from cxr.ingest.validate import validate_cohort
from tests.conftest import phantom, write_image
from tests.ingest.test_ingest import run, settings, write_cohort

LABELS: dict[str, Any] = {"layout": "csv", "patient_from": "image", "path_pattern": "none"}
COVID: dict[str, Any] = {"classes": ("normal", "covid"), "patient_from": "image", "path_pattern": "none"}


def problem(**changes: Any) -> str:
    return "\n".join(str(one) for one in validate_cohort(settings(**changes), b"")[1] if one.severity == "error")


def test_a_wrapper_folder_is_named_with_the_root_to_set(workspace: Path) -> None:
    write_cohort(workspace / "films/chest_xray", split="train")
    found = problem()
    assert "folder 'chest_xray' is no class, but holds class folders (40 files)" in found
    assert "the films are further down; set data.root: films/chest_xray" in found
    assert len(run(settings(root="films/chest_xray"))) == 40


def test_a_cohort_that_is_there_twice_can_be_read_once(workspace: Path) -> None:
    write_cohort(workspace / "films", split="train")
    write_cohort(workspace / "films/chest_xray", split="train")
    assert "set data.root: films/chest_xray, or leave this folder out with data.ignore: [chest_xray]" in problem()
    assert len(run(settings(root="films/chest_xray"))) == 40
    assert len(run(settings(ignore=("chest_xray",)))) == 40


def test_a_wrapper_folder_mapped_to_a_class_does_not_relabel_the_films_in_it(workspace: Path) -> None:
    write_cohort(workspace / "films/chest_xray", split="train")
    found = problem(label_map={"chest_xray": "normal"})
    assert "20 films lie in folders of two classes" in found
    assert "remove 'chest_xray' from data.label_map, and set data.root" in found
    assert len(run(settings(root="films/chest_xray"))) == 40


@pytest.mark.parametrize(("folder", "setting"), [("masks", "masks"), ("Lung_Masks_256", "Lung_Masks_256")])
def test_a_folder_of_masks_beside_the_classes_is_named_as_one(workspace: Path, folder: str, setting: str) -> None:
    write_cohort(workspace / "films", patients=10)
    for patient in range(10):
        write_image(workspace / f"films/{folder}/P{patient:03d}_0.png", phantom(patient)[1])
    assert f"look like masks of films, not like films, such as {folder}/P000_0.png" in problem()
    assert f"set data.masks_dir: '{setting}' to compare them" in problem()
    assert sum(bool(record.mask_path) for record in run(settings(masks_dir=setting))) == 10
    assert len(run(settings(ignore=(folder,)))) == 20


def test_masks_beside_the_films_of_each_class_are_named_and_can_be_used(workspace: Path) -> None:
    for label in ("Normal", "COVID"):
        for index in range(10):
            film, mask = phantom(index + 100 * len(label))
            write_image(workspace / f"films/{label}/images/{label}-{index}.png", film)
            write_image(workspace / f"films/{label}/masks/{label}-{index}.png", mask)
    found = problem(**COVID)
    assert "20 files in COVID/masks look like masks" in found
    assert "set data.masks_dir: '*/masks'" in found
    assert "or data.ignore: [masks]" in found
    records = run(settings(**COVID, masks_dir="*/masks"))
    assert records[0].mask_path == "films/COVID/masks/COVID-0.png"
    assert all(record.mask_path for record in records)
    assert not any(record.mask_path for record in run(settings(**COVID, ignore=("masks",))))


def test_an_unknown_class_folder_can_be_mapped_excluded_or_ignored(workspace: Path) -> None:
    write_cohort(workspace / "films")
    write_image(workspace / "films/Viral Pneumonia/P700.png", phantom(1)[0])
    assert "unknown label 'Viral Pneumonia' (1)" in problem()
    assert "set data.label_map to a class or to exclude, or data.ignore" in problem()
    assert len(run(settings(label_map={"Viral Pneumonia": "pneumonia"}))) == 41
    assert len(run(settings(label_map={"Viral Pneumonia": "exclude"}))) == 40
    assert len(run(settings(ignore=("Viral Pneumonia",)))) == 40


def table(labels: list[str], **changes: Any) -> dict[str, Any]:
    for index, _ in enumerate(labels):
        write_image(Path(f"films/{index}.png"), phantom(index, 64, 64)[0])
    rows = [f"{index}.png,{label}" for index, label in enumerate(labels)]
    Path("films/labels.csv").write_text("\n".join(["path,label", *rows, ""]))
    return {**LABELS, **changes}


def test_blank_labels_can_be_left_out(workspace: Path) -> None:
    given = table(["0", "1"] * 5 + ["", "nan"])
    assert "no label in 2 rows" in problem(**given)
    assert "leave them out with data.label_map: {blank: exclude}" in problem(**given)
    assert len(run(settings(**given, label_map={"blank": "exclude"}))) == 10


def test_lists_of_findings_are_recognised_and_read_by_rules(workspace: Path) -> None:
    given = table(["No Finding", "Pneumonia|Infiltration", "Effusion|Mass", "Infiltration|Pneumonia"] * 4)
    assert "set data.label_separator: '|' and one data.label_rules entry per finding" in problem(**given)
    rules = [
        {"value": value, "label": label}
        for value, label in (("Pneumonia", "pneumonia"), ("No Finding", "normal"), ("*", "exclude"))
    ]
    records = run(settings(**given, label_separator="|", label_rules=rules))
    assert [record.label for record in records].count("pneumonia") == 8
    assert len(records) == 12


def test_rules_read_one_column_per_finding(workspace: Path) -> None:
    given = table([f"{index % 2},{(index + 1) % 2 or -1}" for index in range(12)])
    text = Path("films/labels.csv").read_text().replace("path,label", "path,Pneumonia,No Finding")
    Path("films/labels.csv").write_text(text)
    rules = [
        {"column": "Pneumonia", "value": 1, "label": "pneumonia"},
        {"column": "No Finding", "value": 1.0, "label": "normal"},
        {"value": "*", "label": "exclude"},
    ]
    columns = {"label": "none"}
    assert len(run(settings(**given, label_rules=rules, columns=columns))) == 12
    assert "no film of class 'normal'" in problem(**given, label_rules=[rules[0], rules[2]], columns=columns)


def test_classes_as_columns_are_named_with_the_rules_that_read_them(workspace: Path) -> None:
    given = table([f"{index % 2},{(index + 1) % 2}" for index in range(12)])
    text = Path("films/labels.csv").read_text().replace("path,label", "path,PNEUMONIA,NORMAL")
    Path("films/labels.csv").write_text(text)
    rules = re.search(r"set data.columns.label: none and data.label_rules: (\[.*\])", problem(**given))
    assert rules
    records = run(settings(**given, label_rules=YAML().load(rules[1]), columns={"label": "none"}))
    assert [record.label for record in records].count("pneumonia") == 6


def write_tables(other: list[str]) -> None:
    """A table of films with a study and a split, and another one."""
    for index in range(12):
        write_image(Path(f"films/{index}.png"), phantom(index, 64, 64)[0])
    rows = [f"{index}.png,s{index},{('train', 'test')[index > 7]}" for index in range(12)]
    Path("films/labels.csv").write_text("\n".join(["path,study,split", *rows, ""]))
    Path("films/other.csv").write_text("\n".join([*other, ""]))


def test_labels_in_another_table_are_joined_by_a_key(workspace: Path) -> None:
    write_tables(["study,label,age", *(f"s{index},{index % 2},{index}" for index in range(11))])
    given = {**LABELS, "tables": [{"csv": "other.csv", "on": "study"}], "label_map": {"blank": "exclude"}}
    records = run(settings(**given))
    assert [record.attributes["age"] for record in records if record.image_id == "7"] == ["7"]
    assert len(records) == 11
    found = "\n".join(map(str, validate_cohort(settings(**given), b"")[1]))
    assert "films/other.csv: no row for 1 of 12 rows of films/labels.csv; data.label_rules see blank" in found


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ([{"csv": "lost.csv", "on": "study"}], "films/lost.csv: no such file; correct data.tables"),
        (
            [{"csv": "other.csv", "on": "stdy"}],
            "no column 'stdy'; it has 'path', 'study', 'split'; did you mean",
        ),
        ([{"csv": "other.csv", "on": "path"}], "no row has the path of a row of films/labels.csv; correct data.tables"),
    ],
)
def test_a_table_that_cannot_be_joined_is_an_error(workspace: Path, tables: Any, message: str) -> None:
    write_tables(["study,label,path", "s1,1,x.png"])
    assert message in problem(**LABELS, tables=tables, columns={"label": "split"})


def test_rows_of_another_table_are_added(workspace: Path) -> None:
    given = table([str(index % 2) for index in range(12)], tables=[{"csv": "more.csv"}])
    for index in range(12, 16):
        write_image(Path(f"films/{index}.png"), phantom(index, 64, 64)[0])
    Path("films/more.csv").write_text("path,label\n" + "".join(f"{index}.png,{index % 2}\n" for index in range(12, 16)))
    assert len(run(settings(**given))) == 16


def test_of_several_rows_of_a_film_the_first_rule_that_applies_decides(workspace: Path) -> None:
    given = table(["0", "1"] * 6)
    with Path("films/labels.csv").open("a") as file:
        file.write("0.png,1\n")
    assert "1 films have rows with two labels, such as films/labels.csv:14 '0.png', both 'normal'" in problem(**given)
    rules = [{"value": 1, "label": "pneumonia"}, {"value": 0, "label": "normal"}]
    assert [one.label for one in run(settings(**given, label_rules=rules)) if one.image_id == "0"] == ["pneumonia"]
    found = "\n".join(map(str, validate_cohort(settings(**given, label_rules=rules), b"")[1]))
    assert "1 films have rows of two classes" in found


def test_a_split_can_come_from_the_path(workspace: Path) -> None:
    for index in range(20):
        write_image(Path(f"films/{('train', 'valid')[index > 11]}/{index}.png"), phantom(index, 64, 64)[0])
    rows = [f"{index}.png,{index % 2}" for index in range(20)]
    Path("films/labels.csv").write_text("\n".join(["path,label", *rows, ""]))
    records = run(settings(**{**LABELS, "path_pattern": "(?P<split>train|valid)/"}))
    assert sorted({(int(one.image_id) > 11, one.split) for one in records}) == [(False, "train"), (True, "val")]
    with pytest.raises(ValueError, match="group split needs layout csv or dicom"):
        settings(path_pattern="(?P<patient_id>P)(?P<split>x)")


def test_splits_come_from_a_map_or_from_lists_of_films(workspace: Path) -> None:
    given = table([f"{index % 2},{('fold 1', 'fold 2')[index > 7]}" for index in range(12)])
    text = Path("films/labels.csv").read_text().replace("path,label", "path,label,split")
    Path("films/labels.csv").write_text(text)
    assert "unknown split 'fold 1' (8), 'fold 2' (4)" in problem(**given)
    mapped = run(settings(**given, split_map={"fold 1": "train", "fold 2": "test"}))
    Path("films/test.txt").write_text("".join(f"images/{index}.png\n" for index in range(8, 12)))
    listed = run(settings(**given, split_lists={"test": "test.txt"}))
    for records in (mapped, listed):
        assert {record.image_id for record in records if record.split == "test"} == {"8", "9", "10", "11"}


def test_films_that_the_table_calls_lateral_are_reported_and_can_be_left_out(workspace: Path) -> None:
    given = table([f"{index % 2},{'Lateral' if index > 9 else 'Frontal'}" for index in range(12)])
    text = Path("films/labels.csv").read_text().replace("path,label", "path,label,Frontal/Lateral")
    Path("films/labels.csv").write_text(text)
    found = "\n".join(map(str, validate_cohort(settings(**given), b"")[1]))
    assert "2 films are lateral by column 'Frontal/Lateral', such as 10.png and 11.png" in found
    rules = [{"column": "Frontal/Lateral", "value": "Lateral", "label": "exclude"}]
    assert len(run(settings(**given, label_rules=rules))) == 10


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (
            [
                "files/p10/p10000032/s50414267/02aa804e-bde0afdd.dcm",
                "files/p10/p10000764/s57375967/096052b7-d256dc40.dcm",
            ],
            r"(?P<patient_id>p\d{8,})/",
        ),
        (
            ["train/patient00001/study1/view1_frontal.jpg", "valid/patient64541/study1/view1_frontal.jpg"],
            r"(?P<patient_id>patient\d{5,})/",
        ),
        (["NORMAL/02aa804e-bde0afdd-1234.png"], ""),
    ],
)
def test_a_folder_named_like_a_patient_is_proposed(names: list[str], pattern: str) -> None:
    assert suggest_pattern(names) == pattern


def test_a_pattern_that_finds_hardly_any_patients_is_an_error_with_a_better_one(workspace: Path) -> None:
    for patient in range(20):
        for film in range(2):
            label = ("NORMAL", "PNEUMONIA")[patient % 2]
            name = workspace / f"films/{label}/p1{patient % 2}/p1{patient % 2}{patient:06d}/{film}.png"
            write_image(name, phantom(2 * patient + film, 64, 64)[0])
    found = problem(path_pattern=r"(?P<patient_id>p\d+)")
    assert "finds only 2 patients in 40 films" in found
    assert r"try (?P<patient_id>p\d{8,})/ (20 patients here)" in found
    assert len({one.patient_id for one in run(settings(path_pattern=r"(?P<patient_id>p\d{8,})/"))}) == 20
