"""The contact sheet of the check: some films of each class with label, split and patient."""

from collections.abc import Sequence

import cv2
import numpy as np

from cxr.core.errors import CxrError
from cxr.films.letterbox import Image, Letterbox
from cxr.films.read import decode, read_source
from cxr.ingest.entries import FilmEntry

SIDE, CAPTION, COLUMNS = 200, 36, 6  # pixels, pixels, films


def contact_sheet(films: Sequence[FilmEntry], classes: Sequence[str], most: int = 24) -> tuple[Image, list[str]]:
    """Up to `most` films, evenly spaced within each class, and the reason for each that cannot be read.

    The picture is grey, (rows * (SIDE + CAPTION), COLUMNS * SIDE).
    """
    chosen: list[FilmEntry] = []
    for name in classes:
        some = [film for film in films if film.label == name]
        places = np.linspace(0, len(some) - 1, min(len(some), most // len(classes)))
        chosen += [some[int(place)] for place in places]
    drawn = [_tile(film) for film in chosen]
    tiles = [tile for tile, _ in drawn]
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % COLUMNS)
    rows = [np.hstack(tiles[start : start + COLUMNS]) for start in range(0, len(tiles), COLUMNS)]
    return np.asarray(np.vstack(rows), np.uint8), [reason for _, reason in drawn]


def _tile(film: FilmEntry) -> tuple[Image, str]:
    """A film with its caption, and why it cannot be read, or an empty text."""
    reason = ""
    tile = np.full((SIDE + CAPTION, SIDE), 255, np.uint8)
    try:
        grey = decode(read_source(film.address)).grey
        tile[:SIDE] = Letterbox(grey.shape[1], grey.shape[0], SIDE).to_frame(grey)
    except CxrError as error:
        reason = str(error)
        cv2.putText(tile, "unreadable", (50, SIDE // 2), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 0, 1, cv2.LINE_AA)
    patient = f"patient {film.patient_id}" if film.patient_id else film.name.rsplit("/", 1)[-1]
    for line, text in enumerate((f"{film.label}  {film.split or ''}", patient)):
        cv2.putText(tile, text[:30], (4, SIDE + 14 + 16 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 0, 1, cv2.LINE_AA)
    return tile, reason
