"""Small cohorts as people have them: check, ingest and training agree on each."""

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cxr.commands.check import CheckReport, check_cohort
from cxr.commands.cohorts import complete, recognise
from cxr.commands.propose import propose
from cxr.core.config import parse_section
from cxr.core.errors import CxrError
from cxr.films.manifest import SPLITS, read_manifest
from cxr.ingest.config import DataSection
from cxr.ingest.ingest import ingest
from cxr.ingest.pseudonyms import VARIABLE
from cxr.npz.pack import build_shards
from cxr.preprocess.build import build_npz_set
from cxr.preprocess.config import PreprocessSection
from cxr.segment.segment import segment_cohort
from cxr.train.config import TrainSection
from cxr.train.data import open_films
from tests.corpus import CORPUS, for_eight_patients, write_cohort
from tests.segment.conftest import write_dark_is_lung
from tests.settings import machine, section, segmentation
from tests.test_pipeline import clone as repository
from tests.test_pipeline import sh

ROOT = Path(__file__).parents[1]
FILMS = Path("data/raw/mine")
EACH = 4  # of the cohorts is tried with one of these changes, too
CHANGES: list[dict[str, Any]] = [
    {"on_leakage": "error"},
    {"published_val": "merge"},
    {"patient_from": "image"},
    {"val_fraction": 0.1},
    {"test_fraction": 0.0},
    {"masks_dir": "none"},
    {"on_leakage": "drop_from_train"},
    {"published_val": "keep"},
    {"label_map": {}},
    {"max_quarantined": 0.3},
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A segmenter, and the results per film, which all cohorts share."""
    folder = tmp_path_factory.mktemp("corpus")
    write_dark_is_lung(folder / "segmenter.onnx")
    return folder


@pytest.fixture
def clone(workspace: Path, shared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings of the repository in an empty folder."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(for_eight_patients(text), encoding="utf-8")
    monkeypatch.setenv("DVC_ROOT", str(shared))
    monkeypatch.setenv(VARIABLE, "0123456789abcdef" * 4)
    return workspace


def prepare(settings: DataSection, shared: Path) -> dict[str, list[int]]:
    """The films of each class per split as training opens them, after the stages before it."""
    one = machine(workers=1)
    manifest, masks, npz, shards = (Path("data", name) for name in ("manifest.csv", "masks", "npz", "shards"))
    ingest(settings, one, Path("data"))
    segment_cohort(manifest, shared / "segmenter.onnx", masks, Path("data/masks.csv"), segmentation(), one)
    build_npz_set(manifest, masks, npz, section(PreprocessSection, image_px=32), one)
    build_shards(npz, shards)
    open_films(shards)
    return films_of(manifest)


def films_of(manifest: Path) -> dict[str, list[int]]:
    """The films of each class per split."""
    records, classes = read_manifest(manifest)
    counts = Counter((record.split, record.label) for record in records)
    films = {split: [counts[split, name] for name in classes] for split in SPLITS}
    return {split: each for split, each in films.items() if any(each)}


def faults_of(settings: DataSection) -> list[str]:
    """The errors that `check` reports for a cohort."""
    report = CheckReport()
    check_cohort(settings, section(TrainSection), report)
    return report.faults


def settings_of(case: dict[str, Any], place: Path) -> DataSection:
    """The section `data`: proposed for the cohort and then changed, or the case's own; raises CxrError without one."""
    if "data" in case:
        given = complete(place, {"patient_from": "image", **case["data"]})
    else:
        found = recognise(place) or propose(place)
        assert case.get("name", "") in found.name
        proposed = case.get("proposes", {})
        assert {key: found.data[key] for key in proposed} == proposed
        given = {**found.data, **case.get("set", {})}
    return parse_section(given, DataSection, "data")


@pytest.mark.parametrize("name", CORPUS)
def test_a_cohort_is_prepared_as_the_check_says_or_stopped_by_one_line(clone: Path, shared: Path, name: str) -> None:
    case, settings = CORPUS[name], None
    try:
        settings = settings_of(case, write_cohort(case, FILMS))
        faults = faults_of(settings)
    except CxrError as error:
        faults = str(error).splitlines()
    if "expect" in case:
        assert faults == []
        assert settings is not None
        assert prepare(settings, shared) == case["expect"]
        return
    assert len(faults) == 1, faults
    assert case["error"] in faults[0]
    if settings is not None:  # else nothing was proposed
        with pytest.raises(CxrError):
            prepare(settings, shared)


@pytest.mark.parametrize("name", list(CORPUS)[::EACH])
def test_the_check_approves_changed_settings_if_and_only_if_the_stages_succeed(
    clone: Path, shared: Path, name: str
) -> None:
    place = write_cohort(CORPUS[name], FILMS)
    try:
        settings = settings_of(CORPUS[name], place)
    except CxrError:  # nothing was proposed
        settings = parse_section(complete(place, {"classes": ["normal", "pneumonia"]}), DataSection, "data")
    change = CHANGES[list(CORPUS).index(name) // EACH % len(CHANGES)]
    changed = parse_section({**settings.model_dump(), **change}, DataSection, "data")
    approved = not faults_of(changed)
    try:
        prepare(changed, shared)
        succeeded = True
    except CxrError:
        succeeded = False
    assert approved == succeeded, change


@pytest.mark.journey
@pytest.mark.parametrize("name", ["kaggle, patients in train and test", "a table of german excel", "vindr-cxr"])
def test_the_commands_for_own_data_lead_to_metrics(name: str, tmp_path: Path) -> None:
    folder, case = repository(tmp_path, workers=1), CORPUS[name]
    params = folder / "params.yaml"
    params.write_text(for_eight_patients(params.read_text(encoding="utf-8")), encoding="utf-8")
    write_cohort(case, folder / FILMS)
    for command in (f"dvc add {FILMS}", f"{sys.executable} -m cxr check {FILMS} --write", "dvc repro"):
        done = sh(*command.split(), cwd=folder)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    assert (folder / "metrics/metrics.json").is_file()
    assert films_of(folder / "data/manifest.csv") == case["expect"]
