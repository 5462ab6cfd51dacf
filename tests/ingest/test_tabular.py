"""Label tables as people have them: in other places, with lists of splits, with names in another Unicode form."""

import unicodedata
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cxr.core.errors import CxrError
from cxr.ingest.findings import Finding
from cxr.ingest.labels import list_separator
from cxr.ingest.table import read_table
from cxr.ingest.validate import validate_cohort
from tests.conftest import phantom, write_image
from tests.ingest.test_ingest import run, settings

TABLE: dict[str, Any] = {"layout": "csv", "patient_from": "image", "path_pattern": "none"}


def findings(severity: str = "error", **changes: Any) -> list[Finding]:
    return [one for one in validate_cohort(settings(**TABLE | changes), b"", 1)[1] if one.severity == severity]


def write(table: str, films: int = 20, folder: str = "films") -> None:
    for index in range(films):
        write_image(Path(f"{folder}/{index}.png"), phantom(index, 64, 64)[0])
    Path(folder, "labels.csv").write_text(table, encoding="utf-8")


def rows(films: range = range(20)) -> str:
    return "path,label,split\n" + "".join(f"{index}.png,{index % 2},{index % 5}\n" for index in films)


def test_a_table_in_another_place_is_named(workspace: Path) -> None:
    write(rows(), folder="films/data")
    (found,) = findings()
    assert (
        str(found) == "films/labels.csv: no such file; set data.labels_csv to the label file; films has data/labels.csv"
    )
    assert not findings(labels_csv="data/labels.csv", columns={**settings().columns.model_dump(), "split": "none"})


def test_a_table_outside_the_root_is_an_error_as_dvc_would_not_see_a_change(workspace: Path) -> None:
    write(rows())
    Path("films/labels.csv").rename("labels.csv")
    assert "../labels.csv is outside data.root (films); move the table there" in str(
        findings(labels_csv="../labels.csv")[0]
    )


def test_a_table_that_is_a_link_into_a_cache_is_read(workspace: Path) -> None:
    write(rows().replace("split", "fold"))
    Path("films/labels.csv").rename("cached.csv")
    Path("films/labels.csv").symlink_to(Path("cached.csv").resolve())
    assert len(run(settings(**TABLE))) == 20


def test_lists_of_splits_that_name_no_film_are_an_error(workspace: Path) -> None:
    write(rows().replace("split", "fold"))
    Path("films/test.txt").write_text("a.png\nb.png\n", encoding="utf-8")
    assert "none of its 20 films is in data.split_lists" in str(findings(split_lists={"test": "test.txt"})[0])
    Path("films/test.txt").write_text("0.png\n1\n2.png\n3\n", encoding="utf-8")
    assert sum(record.split == "test" for record in run(settings(**TABLE, split_lists={"test": "test.txt"}))) == 4


def test_unknown_splits_are_counted_once_each_and_can_be_mapped(workspace: Path) -> None:
    write(rows())
    assert "unknown split '0' (4), '1' (4), '2' (4), '3' (4), '4' (4); expected train, val or test" in str(
        findings()[0]
    )
    split_map = {"0": "test", "1": "val", "2": "train", "3": "train", "4": "train"}
    assert len(run(settings(**TABLE, split_map=split_map))) == 20
    many = "path,label,split\n" + "".join(f"{index}.png,{index % 2},s{index}\n" for index in range(60))
    Path("films/labels.csv").write_text(many, encoding="utf-8")
    assert "and 20 other names" in str(findings(max_quarantined=1.0)[0])


def test_films_named_by_another_table_are_found_with_the_setting_of_the_message(workspace: Path) -> None:
    write(rows(range(14)).replace("split", "fold"))
    Path("films/more.csv").write_text(rows(range(14, 20)).replace("split", "fold"), encoding="utf-8")
    found = "".join(map(str, findings("warning")))
    assert "6 films under films have no row" in found
    assert "or add the rows of more.csv: data.tables: [{csv: more.csv}]" in found
    assert len(run(settings(**TABLE, tables=({"csv": "more.csv"},)))) == 20


def test_names_in_the_settings_match_files_in_the_other_unicode_form(workspace: Path) -> None:
    stored = {name: unicodedata.normalize("NFD", name) for name in ("라벨.csv", "평가.txt", "마스크", "사진", "더.csv")}
    for index in range(20):
        write_image(Path(f"films/{stored['사진']}/{index}.png"), phantom(index, 64, 64)[0])
        write_image(Path(f"films/{stored['사진']}/{stored['마스크']}/{index}.png"), phantom(index, 64, 64)[1])
    head, *lines = rows().replace("split", "fold").splitlines()
    Path("films", stored["라벨.csv"]).write_text("\n".join([head, *lines[:10]]), encoding="utf-8")
    Path("films", stored["더.csv"]).write_text("\n".join([head, *lines[10:]]), encoding="utf-8")
    Path("films", stored["평가.txt"]).write_text("0.png\n1.png\n", encoding="utf-8")
    changes = TABLE | {"labels_csv": "라벨.csv", "split_lists": {"test": "평가.txt"}, "tables": ({"csv": "더.csv"},)}
    for folder in ("사진/마스크", "*/마스크"):
        records = run(settings(**changes, masks_dir=folder))
        assert len(records) == sum(bool(record.mask_path) for record in records) == 20
        assert sum(record.split == "test" for record in records) == 2


def test_classes_in_label_map_and_rules_match_in_the_other_unicode_form(workspace: Path) -> None:
    write(rows().replace("split", "fold"))
    sick = unicodedata.normalize("NFD", "폐렴")
    changes = TABLE | {"classes": ("정상", "폐렴"), "label_map": {"0": "정상", "1": sick}}
    assert {record.label for record in run(settings(**changes))} == {"정상", "폐렴"}
    rules = ({"value": 1, "label": sick}, {"value": 0, "label": "정상"})
    assert {record.label for record in run(settings(**changes | {"label_map": {}, "label_rules": rules}))} == {
        "정상",
        "폐렴",
    }


@pytest.mark.parametrize(
    "change",
    [{"label_separator": ""}, {"labels_csv": ""}, {"masks_dir": ""}, {"masks_dir": "**"}, {"masks_dir": "/a/*"}],
)
def test_settings_that_mean_nothing_are_rejected(change: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        settings(**change)


@pytest.mark.parametrize(
    ("labels", "separator"),
    [
        (["No Finding", "Effusion", "Pneumonia, Effusion"], ","),
        (["Pneumonia|Infiltration", "No Finding", "Infiltration"], "|"),
        (["['Pneumonia', 'Effusion']", "['normal']"], ","),
        (["No Lung Opacity / Not Normal", "Lung Opacity", "Normal"], ""),
        (["pneumonia, left", "normal", "other", "healthy"], ","),
        (["mild, left", "normal", "other", "healthy"], ""),
    ],
)
def test_lists_of_findings_are_told_from_labels_with_a_comma(labels: list[str], separator: str) -> None:
    assert list_separator(labels, ("normal", "pneumonia")) == separator


def test_a_line_above_the_header_is_named_and_the_line_of_excel_is_read(workspace: Path) -> None:
    write("# exported by a device\n" + rows())
    with pytest.raises(CxrError, match="line 1 is read as the header; remove the lines above it"):
        read_table(Path("films/labels.csv"))
    Path("films/labels.csv").write_text("sep=;\n" + rows().replace(",", ";"), encoding="utf-8")
    assert read_table(Path("films/labels.csv")).columns == ["path", "label", "split"]


def test_masks_that_are_no_png_are_an_error(workspace: Path) -> None:
    write(rows().replace("split", "fold"))
    write_image(Path("films/lung_masks/0.jpg"), phantom()[1])
    assert "no .png in films/lung_masks; save the masks as PNG" in str(findings(masks_dir="auto")[0])
