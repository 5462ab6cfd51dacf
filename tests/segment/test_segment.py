import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from cxr.core.errors import CxrError
from cxr.core.files import digest
from cxr.films.letterbox import Letterbox
from cxr.films.manifest import Record, write_manifest
from cxr.segment.config import SegmentSection
from cxr.segment.scores import mask_scores
from cxr.segment.segment import segment_cohort
from cxr.segment.table import read_mask_table
from tests.conftest import phantom, write_image
from tests.segment.conftest import FRAME, write_dark_is_lung
from tests.settings import machine

MANIFEST, MASKS, TABLE = Path("data/manifest.csv"), Path("data/masks"), Path("data/masks.csv")
MODEL = Path("models/lung_segmenter.onnx")


def record(index: int, film: Path, mask: Path | None) -> Record:
    content, pixels = film.read_bytes(), cv2.imread(str(film), cv2.IMREAD_GRAYSCALE)
    assert pixels is not None
    height, width = pixels.shape
    name, hash_ = f"film{index}", digest(content)
    return Record(name, str(film), "normal", f"p{index}", "train", width, height, 8, hash_, hash_, str(mask or ""))


@pytest.fixture
def cohort(workspace: Path) -> list[Record]:
    """Three films with reference masks, one without, a model and a manifest."""
    write_dark_is_lung(MODEL)
    records = []
    for index in range(4):
        film, mask = phantom(index, 160 + 8 * index, 128)
        reference = write_image(Path(f"masks/{index}.png"), mask) if index < 3 else None
        records.append(record(index, write_image(Path(f"films/{index}.png"), film), reference))
    write_manifest(MANIFEST, records, ["normal", "pneumonia"])
    return records


@pytest.fixture
def run(cohort: list[Record], settings: SegmentSection) -> Callable[..., None]:
    def run(workers: int = 1, **changes: object) -> None:
        changed = settings.model_copy(update=changes)
        segment_cohort(MANIFEST, MODEL, MASKS, TABLE, changed, machine(workers=workers))

    return run


def outputs() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in [TABLE, *sorted(MASKS.iterdir())]}


def test_each_film_gets_one_mask_in_the_letterbox_frame(cohort: list[Record], run: Callable[..., None]) -> None:
    run()
    assert sorted(path.stem for path in MASKS.glob("*.png")) == [film.image_id for film in cohort]
    for film in cohort:
        mask = cv2.imread(str(MASKS / f"{film.image_id}.png"), cv2.IMREAD_UNCHANGED)
        assert mask is not None
        assert mask.shape == (FRAME, FRAME)
        assert set(np.unique(mask)) == {0, 255}


def test_a_mask_maps_back_onto_the_lungs_of_its_film(cohort: list[Record], run: Callable[..., None]) -> None:
    run()
    for film in cohort[:3]:
        mask = cv2.imread(str(MASKS / f"{film.image_id}.png"), cv2.IMREAD_GRAYSCALE)
        reference = cv2.imread(film.mask_path, cv2.IMREAD_GRAYSCALE)
        assert mask is not None
        assert reference is not None
        mapped = Letterbox(film.width, film.height, FRAME).mask_to_film(np.asarray(mask, np.uint8))
        assert mask_scores(mapped, np.asarray(reference, np.uint8)).dice > 0.95


def test_films_with_a_reference_mask_are_scored_and_others_are_not(run: Callable[..., None]) -> None:
    run()
    table = read_mask_table(TABLE)
    assert list(table["image_id"]) == ["film0", "film1", "film2", "film3"]
    assert (table["dice"][:3] > 0.95).all()
    assert table.loc[3, ["dice", "iou", "hd95"]].isna().all()
    assert not table["fallback"].any()


def test_masks_and_table_have_the_same_bytes_with_one_worker_and_with_two(run: Callable[..., None]) -> None:
    run(workers=1)
    first = outputs()
    for entry in Path(".cache").rglob("*"):
        if entry.is_file():
            entry.unlink()
    run(workers=2)
    assert outputs() == first


def test_a_second_run_takes_every_film_from_the_cache(
    run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    run()
    first = outputs()
    monkeypatch.setattr("cxr.segment.segment.read_recorded", lambda *_: pytest.fail("a film was read again"))
    run()
    assert outputs() == first


def test_another_threshold_or_another_model_is_not_served_from_the_cache(run: Callable[..., None]) -> None:
    run()
    first = outputs()
    run(threshold=0.9)
    assert outputs() != first
    write_dark_is_lung(MODEL, level=100.0)
    run()
    assert outputs() != first


def test_a_mended_reference_mask_gives_new_scores(run: Callable[..., None]) -> None:
    run()
    before = read_mask_table(TABLE)
    write_image(Path("masks/0.png"), np.full((128, 160), 255, np.uint8))
    run()
    after = read_mask_table(TABLE)
    assert after["dice"][0] < before["dice"][0]
    assert list(after["dice"][1:3]) == list(before["dice"][1:3])


def test_a_film_without_lungs_falls_back_and_is_flagged(cohort: list[Record], run: Callable[..., None]) -> None:
    blank = write_image(Path("films/blank.png"), np.random.default_rng(0).integers(150, 250, (90, 120), np.uint8))
    write_manifest(MANIFEST, [*cohort, record(9, blank, None)], ["normal", "pneumonia"])
    run()
    row = read_mask_table(TABLE).iloc[-1]
    assert (row["fallback"], row["fallback_reason"]) == (1, "no lung found")
    mask = cv2.imread(str(MASKS / "film9.png"), cv2.IMREAD_GRAYSCALE)
    assert mask is not None
    assert mask.sum() == 255 * FRAME * round(FRAME * 90 / 120)


def test_the_network_sees_the_films_own_colours_when_asked(cohort: list[Record], run: Callable[..., None]) -> None:
    """The stand-in model looks at red only: a film whose lungs are dark in red alone tells grey from colour."""
    film, mask = phantom(7)
    colour = np.stack([np.full_like(film, 250), np.full_like(film, 250), film], axis=2)  # OpenCV order: blue first
    coloured = write_image(Path("films/colour.png"), colour)
    write_manifest(MANIFEST, [record(0, coloured, write_image(Path("masks/c.png"), mask))], ["normal", "pneumonia"])
    run(seg_on_gray=True)
    assert read_mask_table(TABLE)["fallback"][0] == 1
    run(seg_on_gray=False)
    assert read_mask_table(TABLE)["dice"][0] > 0.95


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda: MODEL.unlink(), "models/lung_segmenter.onnx: no lung segmenter; restore it"),
        (lambda: MODEL.write_bytes(b"no model"), "models/lung_segmenter.onnx: not a lung segmenter"),
        (lambda: Path("films/1.png").unlink(), "films/1.png: cannot be read"),
        (lambda: write_image(Path("films/1.png"), phantom(5)[0]), "films/1.png: the film changed after ingest"),
        (lambda: Path("masks/1.png").write_bytes(b"no image"), "masks/1.png: reference mask cannot be decoded"),
        (lambda: MANIFEST.unlink(), "data/manifest.csv: no manifest"),
    ],
)
def test_bad_input_is_one_clear_line_and_leaves_nothing_half_written(
    spoil: Callable[[], object], message: str, run: Callable[..., None]
) -> None:
    spoil()
    with pytest.raises(CxrError, match=message) as raised:
        run()
    assert "\n" not in str(raised.value)
    assert not MASKS.exists()
    assert not TABLE.exists()
    assert not list(Path("data").glob(".*"))


def test_the_stage_imports_no_torch() -> None:
    code = "import stages.segment, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0
