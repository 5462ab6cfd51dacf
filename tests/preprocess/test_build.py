from dataclasses import replace
from pathlib import Path

import pytest

from cxr.core.errors import CxrError
from cxr.core.files import digest
from cxr.films.letterbox import Letterbox
from cxr.films.manifest import Record, write_manifest
from cxr.npz.films import read_index, read_npz
from cxr.npz.preparation import Preparation, from_json
from cxr.preprocess import build
from cxr.preprocess.build import build_npz_set, npz_names, perturbations
from cxr.preprocess.config import PreprocessSection
from tests.conftest import PREPARATION, phantom, write_image, write_segment_facts
from tests.settings import machine, section


def write_film(index: int) -> Record:
    film, mask = phantom(index)
    path = write_image(Path(f"films/f{index}.png"), film)
    write_image(Path(f"masks/f{index}.png"), Letterbox(160, 128, 512).mask_to_frame(mask))
    label = ("normal", "pneumonia")[index % 2]
    split = ("train", "train", "val", "test")[index % 4]
    name = digest(path.read_bytes())
    return Record(f"f{index}", str(path), label, f"P{index // 2}", split, 160, 128, 8, name, name, "", {"view": "PA"})


def run(records: list[Record], settings: PreprocessSection = section(PreprocessSection), workers: int = 1) -> Path:  # noqa: B008
    write_manifest(Path("manifest.csv"), records, ["normal", "pneumonia"])
    write_segment_facts(Path("masks"))
    build_npz_set(Path("manifest.csv"), Path("masks"), Path("npz"), settings, machine(workers=workers))
    return Path("npz")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_one_npz_a_film_with_an_index_that_leads_to_it(workspace: Path) -> None:
    records = [write_film(index) for index in range(8)]
    rows = read_index(run(records))
    assert [row.image_id for row in rows[:8]] == [record.image_id for record in records]
    film = read_npz(Path("npz") / rows[3].file)
    assert (film.image_id, film.label, film.patient_id, film.film_size) == ("f3", 1, "P1", (160, 128))
    assert rows[3].file == "test/f3.npz"
    assert rows[3].attributes == {"view": "PA"}


def test_each_validation_film_has_a_corrupted_copy_and_one_with_the_acquisition_of_another_class(
    workspace: Path,
) -> None:
    records = [write_film(index) for index in range(8)]
    rows = {row.image_id: row for row in read_index(run(records))[8:]}
    assert list(rows) == ["f2.corrupted", "f2.swapped", "f6.corrupted", "f6.swapped"]
    film, corrupted, swapped = (
        read_npz(Path("npz") / name) for name in ("val/f2.npz", "corrupted/f2.npz", "swapped/f2.npz")
    )
    assert rows["f2.swapped"].split == "swapped"
    assert (swapped.label, swapped.patient_id, swapped.film_hash) == (film.label, film.patient_id, film.film_hash)
    assert (swapped.image[..., 3] == film.image[..., 3]).all(), "a swapped copy keeps its lungs in place"
    assert not (corrupted.image == film.image).all()
    assert not (swapped.image == film.image).all()


def test_a_training_film_that_is_added_later_changes_few_of_the_swapped_copies(workspace: Path) -> None:
    records = [write_film(index) for index in range(40)]
    before = {item.name: item.reference for item in perturbations(records)}
    after = {item.name: item.reference for item in perturbations([*records, write_film(41)])}
    assert sum(before[name] != after[name] for name in before) <= 2


def test_two_runs_and_two_workers_write_the_same_bytes(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [write_film(index) for index in range(8)]
    written = []
    for name, workers in (("a", 1), ("b", 1), ("c", 2)):
        monkeypatch.setenv("DVC_ROOT", str(workspace / name))  # a cache of its own, so that each run computes
        written.append(contents(run(records, workers=workers)))
    assert written[0] == written[1] == written[2]


def prepared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    seen: list[str] = []
    original = build.read_recorded
    monkeypatch.setattr(build, "read_recorded", lambda record: (seen.append(record.path), original(record))[1])
    return seen


def test_one_film_more_prepares_one_film(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [write_film(index) for index in range(8)]
    run(records)
    seen = prepared(monkeypatch)
    run([*records, write_film(8)])
    assert seen == ["films/f8.png"]


def test_another_split_prepares_nothing(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [write_film(index) for index in range(4)]
    run(records)
    seen = prepared(monkeypatch)
    rows = read_index(run([replace(record, split="train") for record in records]))
    assert seen == []
    assert {row.file.split("/")[0] for row in rows} == {"train"}


def test_a_changed_parameter_prepares_all_and_the_way_back_none(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [write_film(index) for index in range(4)]
    run(records)
    seen = prepared(monkeypatch)
    run(records, section(PreprocessSection, clahe_clip=3))
    assert set(seen) == {record.path for record in records}
    before = len(seen)
    run(records)
    assert len(seen) == before


def test_a_changed_mask_or_label_prepares_its_film(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [write_film(index) for index in range(4)]
    run(records)
    seen = prepared(monkeypatch)
    write_image(Path("masks/f0.png"), Letterbox(160, 128, 512).mask_to_frame(phantom(99)[1]))
    run([records[0], replace(records[1], label="normal"), *records[2:]])
    assert seen == ["films/f0.png", "films/f1.png"]


def test_a_name_for_two_films_is_an_error_that_names_both(workspace: Path) -> None:
    records = [write_film(index) for index in range(4)]
    with pytest.raises(CxrError, match=r"films/f0\.png and films/f1\.png .*P0\.npz; add \{image_id\}"):
        npz_names(records, "{patient_id}")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{patient}", "unknown field 'patient'; fields are .*; did you mean 'patient_id'"),
        ("{0}", "unknown field"),
        ("{", "unknown field"),
        ("../{image_id}", "is outside the folder; use a relative name"),
        ("/{image_id}", "is outside the folder; use a relative name"),
    ],
)
def test_a_bad_name_template_is_an_error(workspace: Path, template: str, message: str) -> None:
    with pytest.raises(CxrError, match=message):
        npz_names([write_film(0)], template)


def test_a_patient_id_cannot_lead_out_of_the_folder(workspace: Path) -> None:
    record = replace(write_film(0), patient_id="../../etc")
    assert npz_names([record], "{patient_id}/{image_id}") == [".._.._etc/f0.npz"]


def test_a_missing_mask_is_an_error_and_leaves_the_old_set_whole(workspace: Path) -> None:
    records = [write_film(index) for index in range(4)]
    before = contents(run(records))
    Path("masks/f2.png").unlink()
    with pytest.raises(CxrError, match=r"masks/f2\.png: no lung mask for films/f2\.png; run `dvc repro segment`"):
        run(records)
    assert contents(Path("npz")) == before
    assert [path.name for path in Path().iterdir() if path.suffix == ".tmp"] == []


def test_a_film_that_was_replaced_since_ingest_is_an_error_whatever_its_shape(workspace: Path) -> None:
    """One of the same shape once went into the cache under the hash of the film that it replaced."""
    record = write_film(0)
    film = Path("films/f0.png").read_bytes()
    for other in (phantom(0, 80, 80)[0], phantom(7)[0]):
        write_image(Path("films/f0.png"), other)
        with pytest.raises(
            CxrError, match=r"films/f0\.png: the film changed after ingest; run `dvc repro ingest` again"
        ):
            run([record])
    Path("films/f0.png").write_bytes(film)
    assert read_npz(run([record]) / "train/f0.npz").film_hash == digest(film)


def test_the_npz_holds_its_preparation(workspace: Path) -> None:
    film = read_npz(run([write_film(0)], section(PreprocessSection, clahe_clip=3)) / "train/f0.npz")
    facts = from_json(film.spec, Preparation, "film")
    assert facts.segment == PREPARATION.segment
    assert facts.preprocess.settings["clahe_clip"] == 3.0
    assert "name" not in facts.preprocess.settings
    assert set(facts.preprocess.versions) == {"opencv", "pydicom", "gdcm"}


def test_masks_without_their_preparation_are_an_error(workspace: Path) -> None:
    write_manifest(Path("manifest.csv"), [write_film(0)], ["normal", "pneumonia"])
    with pytest.raises(CxrError, match=r"masks/segment\.json: no preparation of the masks; run `dvc repro"):
        build_npz_set(Path("manifest.csv"), Path("masks"), Path("npz"), section(PreprocessSection), machine(workers=1))
