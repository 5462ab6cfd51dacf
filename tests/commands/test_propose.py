"""Settings that are proposed for films of unknown origin never mix labels."""

import shutil
from pathlib import Path

import pytest

from cxr.commands.propose import propose
from cxr.core.errors import CxrError
from cxr.ingest.config import DataSection
from cxr.ingest.ingest import ingest
from cxr.ingest.validate import validate_cohort
from tests.conftest import phantom, write_image
from tests.settings import machine

ROOT = Path(__file__).parents[2]


@pytest.fixture
def clone(workspace: Path) -> Path:
    """The settings of the repository in an empty folder."""
    shutil.copy(ROOT / "params.yaml", workspace)
    return workspace


def write(table: str, folder: str = "films", masks: str = "") -> None:
    for index in range(24):
        write_image(Path(f"{folder}/{index}.png"), phantom(index, 64, 64)[0])
        if masks:
            write_image(Path(f"{masks}/{index}.png"), phantom(index, 64, 64)[1])
    Path("films/labels.csv").write_text(table, encoding="utf-8")


def labels_after_ingest() -> list[str]:
    ingest(DataSection.model_validate(propose(Path("films")).data), machine(workers=1), Path("data"))
    return [line.split(",")[2] for line in Path("data/manifest.csv").read_text(encoding="utf-8").splitlines()[1:]]


def test_lists_of_findings_are_read_by_rules(clone: Path) -> None:
    kinds = ("No Finding", "Pneumonia|Effusion", "Effusion", "Pneumonia")
    write("path,label\n" + "".join(f"{index}.png,{kinds[index % 4]}\n" for index in range(24)))
    assert sorted(labels_after_ingest()) == ["normal"] * 6 + ["pneumonia"] * 12


def test_other_findings_in_a_table_with_a_column_per_finding_are_not_normal(clone: Path) -> None:
    lines = [f"{index}.png,{int(index % 3 == 0)},{int(index % 3 == 1)},{int(index % 3 == 2)}" for index in range(24)]
    write("path,Pneumonia,Effusion,No Finding\n" + "\n".join(lines))
    assert sorted(labels_after_ingest()) == ["normal"] * 8 + ["pneumonia"] * 8


def test_masks_of_the_same_names_are_left_out(clone: Path) -> None:
    write("path,label\n" + "".join(f"{index}.png,{index % 2}\n" for index in range(24)), "films/images", "films/masks")
    assert propose(Path("films")).data["ignore"] == ["masks"]
    assert len(labels_after_ingest()) == 24


def test_a_table_without_a_header_is_an_error(clone: Path) -> None:
    write("".join(f"{index}.png,{index % 2}\n" for index in range(24)))
    with pytest.raises(CxrError, match=r"films/labels\.csv: no header; add a first line with names of columns"):
        propose(Path("films"))


def test_a_list_of_films_is_no_table(clone: Path) -> None:
    write("path,label\n" + "".join(f"{index}.png,{index % 2}\n" for index in range(24)))
    Path("films/a_list.txt").write_text("0.png\n1.png\n", encoding="utf-8")
    assert propose(Path("films")).data["labels_csv"] == "labels.csv"


def test_a_folder_beside_splits_is_no_class(clone: Path) -> None:
    for index in range(24):
        folder = f"films/{('train', 'holdout')[index % 4 == 3]}/{('NORMAL', 'PNEUMONIA')[index % 2]}"
        write_image(Path(f"{folder}/{index}.png"), phantom(index, 64, 64)[0])
    data = DataSection.model_validate(propose(Path("films")).data)
    assert data.classes == ("normal", "pneumonia")
    assert "set data.split_map: {holdout: test}" in "".join(map(str, validate_cohort(data, b"")[1]))


def test_names_that_dvc_cannot_keep_are_an_error(clone: Path) -> None:
    write_image(Path("films/NORMAL/0.png"), phantom()[0]).rename(
        b"films/NORMAL/\xb0\xfa.png".decode(errors="surrogateescape")
    )
    with pytest.raises(CxrError, match="the name is not UTF-8; rename it"):
        propose(Path("films"))
