"""`python -m cxr check FOLDER` prints or writes the section `data` of a cohort; tests/corpus.yaml has the cohorts."""

import difflib
import shutil
from pathlib import Path

import pytest

from cxr.__main__ import main
from cxr.commands.cohorts import KNOWN, NEUTRAL, recognise
from cxr.core.config import load_section, read_yaml
from cxr.core.errors import CxrError
from cxr.ingest.config import DataSection
from tests.corpus import CORPUS, for_eight_patients, write_cohort

ROOT = Path(__file__).parents[2]
FILMS = Path("data/raw/mine")


@pytest.fixture
def clone(workspace: Path) -> Path:
    """The settings of the repository in an empty folder."""
    shutil.copy(ROOT / "compute.yaml", workspace)
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(for_eight_patients(text), encoding="utf-8")
    return workspace


def test_the_written_section_keeps_comments_order_and_other_sections(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_cohort(CORPUS["kaggle"], FILMS)
    before = Path("params.yaml").read_text(encoding="utf-8")
    main(["check", str(FILMS), "--write"])
    assert "Kermany chest_xray, Kaggle (chest-xray-pneumonia): folder train/NORMAL" in capsys.readouterr().out
    after = Path("params.yaml").read_text(encoding="utf-8")
    added = [line[2:] for line in difflib.ndiff(before.split("\n"), after.split("\n")) if line[0] == "+"]
    changed = {line.split(":")[0].strip() for line in added}
    assert changed == {"root", "path_pattern", "published_val", "on_leakage"}
    assert after.count("#") == before.count("#")
    assert load_section("data", DataSection).root == "data/raw/mine"


def test_maps_and_lists_are_written_as_they_are_read(clone: Path) -> None:
    write_cohort(CORPUS["nih"], FILMS)
    before = Path("params.yaml").read_text(encoding="utf-8")
    main(["check", str(FILMS), "--write"])
    data = load_section("data", DataSection)
    assert [rule.label for rule in data.label_rules] == ["pneumonia", "normal", "exclude"]
    assert data.split_lists == {"train": "train_val_list.txt", "test": "test_list.txt"}
    assert read_yaml(Path("params.yaml")).keys() == read_yaml(ROOT / "params.yaml").keys()
    assert Path("params.yaml").read_text(encoding="utf-8").count("#") == before.count("#")


def test_without_write_the_section_is_printed_and_nothing_changes(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_cohort(CORPUS["class folders"], FILMS)
    before = Path("params.yaml").read_bytes()
    main(["check", str(FILMS)])
    assert "  root: data/raw/mine\n" in capsys.readouterr().out
    assert Path("params.yaml").read_bytes() == before


def test_every_entry_names_its_source_and_has_valid_settings(clone: Path) -> None:
    current = read_yaml(Path("params.yaml"))["data"]
    for entry in read_yaml(KNOWN).values():
        assert all(entry[key] for key in ("name", "marks", "citation", "licence", "link"))
        assert ("rejected" in entry) != ("settings" in entry)
        if "settings" in entry:
            assert entry["know"]
            assert entry["settings"].keys() <= current.keys()
            DataSection.model_validate({**current, **NEUTRAL, **entry["settings"]})


def test_a_folder_that_is_missing_is_an_error(clone: Path) -> None:
    with pytest.raises(CxrError, match="data/raw/mine: no such file or folder; copy the films there"):
        recognise(FILMS)
