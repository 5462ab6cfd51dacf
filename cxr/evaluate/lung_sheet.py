"""The contact sheet: films with the outline of their lungs, the least trustworthy first."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from cxr.core.files import write_bytes
from cxr.npz.npz_set import read_index, read_npz
from cxr.segment.mask_table import read_mask_table

Image = np.ndarray[Any, np.dtype[np.uint8]]
TILE_PX, CAPTION_PX = 192, 32
FONT, LETTERS = cv2.FONT_HERSHEY_SIMPLEX, 0.36  # height of letters, at most
COLUMNS, ROWS = 6, 3
LEVEL_STEP = 8  # of 256 grey levels
OUTLINE = {False: (80, 220, 255), True: (80, 80, 255)}  # BGR: yellow, red for a fallback


def contact_sheet(masks_csv: Path, npz_folder: Path, out: Path) -> None:
    """Write a PNG of the films whose masks deserve a look: fallbacks, then the lowest Dice, measured or expected."""
    files = {row.image_id: row.file for row in read_index(npz_folder)}
    table = worst_first(read_mask_table(masks_csv))
    chosen = [row for row in table.to_dict("records") if row["image_id"] in files][: COLUMNS * ROWS]
    images = [read_npz(npz_folder / files[row["image_id"]]).image for row in chosen]
    tiles = [tile(image, _caption(row), bool(row["fallback"])) for image, row in zip(images, chosen, strict=True)]
    write_bytes(out, _png(grid(tiles)))


def worst_first(table: pd.DataFrame) -> pd.DataFrame:
    """Order a mask table by trust: fallbacks, then by Dice or, without a reference, by the Dice to expect."""
    trust = table["dice"].fillna(table["quality"]) - 2 * table["fallback"]
    return table.assign(trust=trust).sort_values(["trust", "image_id"], kind="stable", ignore_index=True)


def tile(image: Image, caption: tuple[str, str], fallback: bool) -> Image:
    """One film (h, w, 4) = [R, G, B, mask], outlined, two lines below it: (TILE_PX + CAPTION_PX, TILE_PX, 3) BGR."""
    side = (TILE_PX, TILE_PX)
    picture = cv2.resize(np.ascontiguousarray(image[..., 2::-1]), side, interpolation=cv2.INTER_AREA)
    picture = picture // LEVEL_STEP * LEVEL_STEP  # Git keeps every sheet: fewer grey levels, half the bytes
    mask = cv2.resize(np.ascontiguousarray(image[..., 3]), side, interpolation=cv2.INTER_LINEAR)
    outlines, _ = cv2.findContours((mask > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, outlines, -1, OUTLINE[fallback], 1)
    strip = np.zeros((CAPTION_PX, TILE_PX, 3), np.uint8)
    for line, baseline in zip(caption, (13, 27), strict=True):
        (width, _), _ = cv2.getTextSize(line, FONT, LETTERS, 1)
        scale = LETTERS * min(1.0, (TILE_PX - 6) / max(1, width))
        cv2.putText(strip, line, (3, baseline), FONT, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return np.vstack([picture, strip]).astype(np.uint8)


def grid(tiles: list[Image]) -> Image:
    """Tiles in rows of COLUMNS; empty places are black."""
    blank = np.zeros((TILE_PX + CAPTION_PX, TILE_PX, 3), np.uint8)
    padded = tiles + [blank] * (-len(tiles) % COLUMNS if tiles else COLUMNS)
    rows = [np.hstack(padded[start : start + COLUMNS]) for start in range(0, len(padded), COLUMNS)]
    return np.vstack(rows).astype(np.uint8)


def _caption(row: dict[Any, Any]) -> tuple[str, str]:
    score = f"Dice {row['dice']:.3f}" if pd.notna(row["dice"]) else f"Dice {row['quality']:.2f} expected"
    name = str(row["image_id"])
    return name if len(name) <= 32 else f"..{name[-30:]}", row["reason"] if row["fallback"] else score


def _png(picture: Image) -> bytes:
    ok, encoded = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    assert ok
    return encoded.tobytes()
