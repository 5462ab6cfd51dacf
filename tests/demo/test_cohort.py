"""The embedded cohort: what is planned, what lands on disk, and that nothing but the lungs gives the label away."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest

import stages.demo
from cxr.core.errors import CxrError
from demo import cohort
from demo.cohort import LABELS, PlannedFilm, plan_cohort, write_cohort
from demo.config import DemoSection
from demo.dicom import Encoding
from tests.settings import machine, section

ROOT = Path(__file__).parents[2]
SECTION = section(DemoSection, patients=100, seed=1)
SMALL = section(DemoSection, patients=12, seed=3)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "cohort"
    write_cohort(folder, SMALL, machine(workers=1))
    return folder


def test_the_cohort_has_about_240_films_and_a_third_of_them_are_for_testing() -> None:
    films = plan_cohort(SECTION)
    assert 215 <= len(films) <= 265
    assert 0.28 < np.mean([film.split == "test" for film in films]) < 0.38


def test_a_patient_has_one_label_and_one_split() -> None:
    kept: dict[int, set[tuple[str, str]]] = {}
    for film in plan_cohort(SECTION):
        kept.setdefault(film.patient, set()).add((film.label, film.split))
    assert len(kept) == SECTION.patients
    assert all(len(seen) == 1 for seen in kept.values())


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_label_comes_in_every_file_format(split: str) -> None:
    for label in LABELS:
        kinds = Counter(film.encoding for film in plan_cohort(SECTION) if (film.split, film.label) == (split, label))
        assert {kind.photometric for kind in kinds if isinstance(kind, Encoding)} == {"MONOCHROME1", "MONOCHROME2"}
        assert {kind.bits for kind in kinds if isinstance(kind, Encoding)} == {8, 12}
        assert abs(kinds[".png"] - kinds[".jpg"]) <= 1


def test_another_seed_gives_other_films_and_the_same_seed_the_same() -> None:
    assert plan_cohort(SECTION) == plan_cohort(SECTION)
    assert plan_cohort(SECTION) != plan_cohort(SECTION.model_copy(update={"seed": 2}))


def test_the_bytes_do_not_depend_on_the_number_of_workers(small: Path, tmp_path: Path) -> None:
    write_cohort(tmp_path / "again", SMALL, machine(workers=2))
    assert files_of(tmp_path / "again") == files_of(small)


def test_every_film_has_a_mask_of_its_own_shape_with_two_lungs(small: Path) -> None:
    films = plan_cohort(SMALL)
    for film in films:
        mask = cv2.imread(str(small / "lung_masks" / film.split / f"{film.stem}.png"), cv2.IMREAD_UNCHANGED)
        assert mask is not None
        assert set(np.unique(mask)) == {0, 255}
        assert 0.15 < np.mean(mask > 0) < 0.6
        large = cv2.connectedComponentsWithStats(mask)[2][1:, cv2.CC_STAT_AREA] > 0.04 * mask.size
        assert large.sum() == 2
        path = next((small / film.split / film.label).glob(f"{film.stem}.*"))
        pixels = pydicom.dcmread(path).pixel_array if path.suffix == ".dcm" else cv2.imread(str(path), -1)
        assert pixels is not None
        assert pixels.shape == mask.shape
        assert 400 <= max(pixels.shape) <= 1000


def test_dicom_files_say_that_they_are_synthetic_and_carry_the_patient(small: Path) -> None:
    paths = sorted(small.rglob("*.dcm"))
    assert len({pydicom.dcmread(path).SOPInstanceUID for path in paths}) == len(paths) > 0
    for path in paths:
        dataset = pydicom.dcmread(path)
        assert dataset.PatientID == path.stem.split("_")[0]
        assert "Synthetic" in dataset.ImageComments
        assert dataset.ViewPosition in ("PA", "AP")
        assert dataset.PatientSex in ("F", "M")
        assert dataset.PatientAge.endswith("Y")
        assert dataset.pixel_array.max() < 2**dataset.BitsStored


def test_the_readme_states_that_the_films_are_synthetic(small: Path) -> None:
    assert "Synthetic" in (small / "README.md").read_text(encoding="utf-8").splitlines()[0]


def test_a_stopped_run_leaves_the_old_cohort_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "cohort"
    folder.mkdir()
    (folder / "old.png").write_bytes(b"old")

    def fail(*_: object) -> None:
        raise CxrError("the disk is full")

    monkeypatch.setattr(cohort, "_write_film", fail)
    with pytest.raises(CxrError, match="disk is full"):
        write_cohort(folder, SMALL, machine(workers=1))
    assert files_of(folder) == {"old.png": b"old"}
    assert [path.name for path in tmp_path.iterdir()] == ["cohort"]


def test_writing_again_leaves_no_film_of_the_old_cohort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "train" / "NORMAL").mkdir(parents=True)
    (tmp_path / "train" / "NORMAL" / "old.png").write_bytes(b"old")
    monkeypatch.setattr(cohort, "_write_film", lambda *_: None)
    write_cohort(tmp_path, SMALL, machine(workers=1))
    assert list(files_of(tmp_path)) == ["README.md"]


def test_a_name_carries_the_patient() -> None:
    assert PlannedFilm(12, 2, "train", "NORMAL", ".png").stem == "P0012_02"


def test_no_cohort_is_drawn_where_the_films_are_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    params = (ROOT / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(params.replace("root: data/demo", "root: data/raw/mine"), encoding="utf-8")
    (tmp_path / "data/demo/test").mkdir(parents=True)  # of an earlier run
    monkeypatch.setenv("NPY_DISABLE_CPU_FEATURES", "")
    stages.demo.main()
    assert list((tmp_path / "data/demo").iterdir()) == []


def test_the_stage_has_numpy_keep_to_vectors_that_every_processor_has() -> None:
    code = """
import os, stages.demo, sys
assert "numpy" not in sys.modules
class Reached(Exception): pass
def reached(*_):
    assert os.environ["NPY_DISABLE_CPU_FEATURES"] == stages.demo.WIDE_VECTORS
    raise Reached
stages.demo.load_section = reached
try: stages.demo.main()
except Reached: print("reached")
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "reached"
