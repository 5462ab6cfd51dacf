"""Pictures of films: publication, and the lung contact sheet."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from cxr.core.errors import CxrError
from cxr.evaluate.pictures import CAPTION_PX, COLUMNS, ROWS, TILE_PX, contact_sheet, publish_pictures, worst_first
from cxr.npz.films import INDEX, NpzFilm, NpzRow, encode_npz, write_index
from cxr.segment.table import MaskRow, read_mask_table, write_mask_table
from tests.conftest import phantom


@pytest.mark.parametrize(
    ("setting", "synthetic", "published"),
    [("auto", True, True), ("auto", False, False), ("always", False, True), ("never", True, False)],
)
def test_pictures_are_published_if_setting_and_cohort_allow_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, setting: str, synthetic: bool, published: bool
) -> None:
    pictures, plots = tmp_path / "pictures", tmp_path / "plots"
    for folder in (pictures, plots):
        folder.mkdir()
    (pictures / "gradcam.png").write_bytes(b"film")
    with caplog.at_level("INFO"):
        publish_pictures(pictures, plots, setting, {"synthetic": synthetic})
    assert (plots / "gradcam.png").is_file() == published
    assert ("pictures of films are in data/pictures/" in caplog.text) != published


def test_an_audit_without_the_key_synthetic_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CxrError, match=r"data/audit\.json: no key"):
        publish_pictures(tmp_path, tmp_path, "auto", {"films": 3})


TABLE, NPZ, SHEET = Path("masks.csv"), Path("npz"), Path("sheet.png")
TILE = TILE_PX + CAPTION_PX


def row(name: str, dice: float | None = None, fallback: int = 0, quality: float = 0.95) -> MaskRow:
    reason = "no lung found" if fallback else ""
    return MaskRow(
        name, "hash", 0.3, 0.15, 0.15, 0.2, 0.1, 0.8, 0.9, 0.0 if fallback else quality, fallback, reason, dice
    )


def write_cohort(rows: list[MaskRow]) -> None:
    write_mask_table(TABLE, rows)
    NPZ.mkdir()
    index = []
    for number, one in enumerate(rows):
        film, mask = phantom(number, 64, 64)
        image = np.dstack([film, film, film, mask])
        npz = NpzFilm(image, 0, one.image_id, "p", ("a", "b"), "hash", (0, 0, 64, 64), (64, 64), "{}")
        (NPZ / f"{one.image_id}.npz").write_bytes(encode_npz(npz))
        index.append(NpzRow(f"{one.image_id}.npz", one.image_id, "p", "train", "a", ("a", "b"), "hash"))
    write_index(NPZ / INDEX, index)


def test_fallbacks_come_first_then_the_lowest_dice() -> None:
    rows = [row("good", 0.97), row("poor", 0.7), row("fallback", 0.8, fallback=1), row("fair", 0.9)]
    assert list(worst_first(pd.DataFrame(rows))["image_id"]) == ["fallback", "poor", "fair", "good"]


def test_without_reference_masks_the_lowest_mask_quality_comes_first() -> None:
    rows = [row("fair", quality=0.9), row("good"), row("poor", quality=0.86), row("fallback", fallback=1)]
    assert list(worst_first(pd.DataFrame(rows))["image_id"]) == ["fallback", "poor", "fair", "good"]


def test_the_sheet_shows_the_worst_masks_with_fallbacks_in_red(workspace: Path) -> None:
    write_cohort(
        [row(f"film{number}", 0.9 + number / 1000) for number in range(COLUMNS + 1)] + [row("bad", fallback=1)]
    )
    contact_sheet(TABLE, NPZ, SHEET)
    sheet = cv2.imread(str(SHEET))
    assert sheet is not None
    assert sheet.shape == (2 * TILE, COLUMNS * TILE_PX, 3)
    first, second = (sheet[:TILE_PX, at : at + TILE_PX].astype(int) for at in (0, TILE_PX))
    assert (first[..., 2] - first[..., 1]).max() > 100  # red
    assert (second[..., 1] - second[..., 0]).max() > 100  # yellow
    assert (second[..., 2] - second[..., 1]).max() < 100


def test_the_sheet_stays_small_with_many_films(workspace: Path) -> None:
    write_cohort([row(f"film{number}", 0.9) for number in range(COLUMNS * ROWS + 5)])
    contact_sheet(TABLE, NPZ, SHEET)
    sheet = cv2.imread(str(SHEET))
    assert sheet is not None
    assert sheet.shape[:2] == (ROWS * TILE, COLUMNS * TILE_PX)


def test_the_sheet_has_the_same_bytes_in_every_run(workspace: Path) -> None:
    write_cohort([row("a", 0.9), row("b", 0.9)])
    contact_sheet(TABLE, NPZ, SHEET)
    first = SHEET.read_bytes()
    contact_sheet(TABLE, NPZ, SHEET)
    assert SHEET.read_bytes() == first


def test_a_mask_table_is_read_back_unchanged(workspace: Path) -> None:
    write_mask_table(TABLE, [row("a", 0.91234567), row("b"), row("c", fallback=1)])
    table = read_mask_table(TABLE)
    assert list(table["fallback_reason"]) == ["", "", "no lung found"]
    assert table["dice"][0] == 0.9123
    assert np.isnan(table["dice"][1])


def test_a_missing_or_invalid_mask_table_is_an_error(workspace: Path) -> None:
    with pytest.raises(CxrError, match="no table of masks"):
        read_mask_table(TABLE)
    TABLE.write_text("a,b\n1,2\n")
    with pytest.raises(CxrError, match="column 'image_id' is missing"):
        read_mask_table(TABLE)
