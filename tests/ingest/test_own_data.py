"""Films of one's own: a pattern is proposed, and what is likely not meant is said."""

import re
from pathlib import Path

import pytest

from cxr.core.errors import CxrError
from cxr.films.manifest import SPLITS
from cxr.ingest.patients import suggest_pattern
from cxr.ingest.validate import validate_cohort
from tests.conftest import phantom, write_image
from tests.ingest.test_ingest import run, settings, write_cohort


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (["IM-0115-0001.jpeg", "IM-0117-0001.jpeg"], r"(?P<patient_id>IM-\d+)"),
        (["A/NORMAL2-IM-0035-0001.jpeg", "IM-0115-0001.jpeg"], r"(?P<patient_id>NORMAL\d+-IM-\d+|IM-\d+)"),
        (["person1_bacteria_1.jpeg", "person12_virus_7.jpeg"], r"(?P<patient_id>person\d+)"),
        (["00000001_000.png"], r"(?P<patient_id>\d+)"),
        (["case.7.png"], r"(?P<patient_id>case\.\d+)"),
        (["chest.png"], ""),
    ],
)
def test_a_pattern_is_suggested_from_the_file_names(names: list[str], pattern: str) -> None:
    assert suggest_pattern(names) == pattern
    assert all(re.search(pattern, name) for name in names)


def test_the_error_for_a_pattern_without_matches_suggests_one(workspace: Path) -> None:
    for index in range(6):
        name = f"films/{('NORMAL', 'PNEUMONIA')[index % 2]}/case{index // 2}_{index}.png"
        write_image(workspace / name, phantom(index)[0])
    with pytest.raises(CxrError) as caught:
        run(settings())
    assert str(caught.value) == (
        r"params.yaml: data.path_pattern: (?P<patient_id>P\d+) finds no patient in 6 of 6 paths, such as "
        r"NORMAL/case0_0.png and NORMAL/case1_2.png and NORMAL/case2_4.png (all 6 in data/findings.csv); "
        r"try (?P<patient_id>case\d+) (3 patients here), or set data.patient_from: image if each "
        "film is of another patient"
    )
    assert len(run(settings(path_pattern=r"(?P<patient_id>case\d+)", val_fraction=0.34))) == 6


def test_masks_are_found_automatically_and_not_required(workspace: Path) -> None:
    write_cohort(workspace / "films", patients=6)
    assert not any(record.mask_path for record in run(settings(masks_dir="auto")))
    write_image(workspace / "films/lung_masks/P000_0.png", phantom(0)[1])
    records = run(settings(masks_dir="auto"))
    assert [record.image_id for record in records if record.mask_path] == ["P000_0"]
    assert len(records) == 12  # a mask is no film


def test_the_warning_for_a_missing_test_set_has_a_remedy(workspace: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_cohort(workspace / "films")
    run(settings(test_fraction=0.0))
    assert "no test set: none is given and data.test_fraction is 0" in caplog.text
    caplog.clear()
    records = run(settings(test_fraction=0.2))
    assert {record.split for record in records} == set(SPLITS)
    assert "no test set" not in caplog.text


def test_rows_without_films_and_films_without_rows_are_reported(workspace: Path) -> None:
    root = workspace / "films"
    for name in ("a1", "a2", "b1", "spare"):
        write_image(root / f"{name}.png", phantom(len(name))[0])
    (root / "labels.csv").write_text("path,label,split\na1.png,0,train\na2.png,1,\nb1.png,1,test\nlost.png,0,test\n")
    given = settings(layout="csv", patient_from="image", path_pattern="none")
    found = [str(finding) for finding in validate_cohort(given, b"")[1]]
    assert found[:3] == [
        "films/labels.csv: 1 of 4 rows name a missing file, such as films/labels.csv:5 'lost.png'; add the file, or "
        "correct or remove the row",
        "films/labels.csv: 1 films under films have no row and are skipped, such as spare.png; add rows for them, or "
        "move them elsewhere",
        "1 of 4 films have no split and join train, such as a2.png; give a split for every film or for none",
    ]
