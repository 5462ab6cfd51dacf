"""Stage prepare: pairs of film and mask found by name and split by patient; the training films as small arrays."""

import logging
import re
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from cxr.core.config import load_section
from cxr.core.errors import CxrError
from cxr.core.files import atomic_folder, digest
from cxr.films.dicom import DICOM_SUFFIXES
from cxr.films.film import reduced
from cxr.films.letterbox import Image, Letterbox
from cxr.films.read import IMAGE_SUFFIXES, decode, read_source
from cxr.runtime.console import progress, run_stage
from cxr.segment.lungs import film_in_frame
from segmenter.config import PARAMS, WORK, DatasetSection, PrepareSection
from segmenter.table import Pair, write_pairs

log = logging.getLogger(__name__)


def main() -> None:
    """Write films/pairs.csv (all pairs) and films/{films,masks}.npy (train and val, in the order of pairs.csv)."""
    section = load_section("prepare", PrepareSection, PARAMS)
    pairs = find_pairs(section)
    learned = [pair for pair in pairs if pair.split != "test"]
    shape = (len(learned), section.film_px, section.film_px)
    with atomic_folder(WORK / "films") as folder:
        films = np.lib.format.open_memmap(folder / "films.npy", "w+", np.uint8, shape)
        masks = np.lib.format.open_memmap(folder / "masks.npy", "w+", np.uint8, shape)
        for index, pair in enumerate(progress(learned, len(learned), "prepare")):
            film, mask, _ = read_pair(pair, section.frame_px)
            for array, picture in ((films, film), (masks, mask)):
                array[index] = cv2.resize(picture, shape[1:], interpolation=cv2.INTER_AREA)
        films.flush()
        masks.flush()
        write_pairs(folder / "pairs.csv", pairs)
    log.info("%s", dict(Counter(f"{pair.dataset} {pair.split}" for pair in pairs)))


def find_pairs(section: PrepareSection) -> list[Pair]:
    """All pairs of all data sets, sorted by path.

    A mask belongs to the film with the same stem; films without a mask are passed over. An optional
    `<root>/<name>/sizes.csv` (`file,width,height`) gives the aspect ratio that a squashed file has lost.

    Raises:
        CxrError: a folder is missing, holds no pair, or a name holds no patient.
    """
    return [pair for name, options in section.datasets.items() for pair in _of_dataset(name, options, section)]


def _of_dataset(name: str, options: DatasetSection, section: PrepareSection) -> list[Pair]:
    folder = section.root / name
    for part in ("images", "masks"):
        if not (folder / part).is_dir():
            raise CxrError(f"{folder / part}: no such folder; put the films and masks of {name} there")
    sizes = _sizes(folder / "sizes.csv")
    masks = {path.stem: path for path in sorted((folder / "masks").rglob("*.png"))}
    suffixes = (*IMAGE_SUFFIXES, *DICOM_SUFFIXES)
    films = [path for path in sorted((folder / "images").rglob("*")) if path.suffix.lower() in suffixes]
    pairs = []
    for film in films:
        if film.stem not in masks:
            continue
        found = re.search(options.patient, film.stem)
        if found is None:
            raise CxrError(f"{film}: {options.patient} finds no patient; mend datasets.{name}.patient")
        patient = f"{name}/{found.group(0)}"
        split = "test" if options.use == "test" else _split(patient, section)
        width, height = sizes.get(film.name, (0, 0))
        pairs.append(Pair(name, str(film), str(masks[film.stem]), patient, split, width, height))
    if not pairs:
        raise CxrError(f"{folder}: no film in images/ has a mask of the same name in masks/")
    return pairs


def _split(patient: str, section: PrepareSection) -> str:
    """A patient's split follows from the patient's own name, so added films never move others."""
    draw = int(digest(str(section.seed).encode(), patient.encode())[:8], 16) / 2**32
    if draw < section.test_share:
        return "test"
    return "val" if draw < section.test_share + section.val_share else "train"


def _sizes(path: Path) -> dict[str, tuple[int, int]]:
    if not path.is_file():
        return {}
    table = pd.read_csv(path)
    return {str(row["file"]): (int(row["width"]), int(row["height"])) for row in table.to_dict("records")}


def read_pair(pair: Pair, frame_px: int) -> tuple[Image, Image, Letterbox]:
    """The film (frame, frame) grey, its mask (frame, frame) of 0/255, and the letterbox of its true aspect ratio."""
    source = read_source(pair.film)
    mask = cv2.imread(pair.mask, cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise CxrError(f"{pair.mask}: cannot be decoded as an image; replace it or remove the pair")
    film = reduced(decode(source))
    width, height = film.size
    # A letterbox scales each axis to the true proportions, whatever the file's own are.
    frame = Letterbox(pair.width or width, pair.height or height, frame_px)
    return film_in_frame(film, frame, grey=True), frame.mask_to_frame(np.asarray(mask, np.uint8)), frame


if __name__ == "__main__":
    run_stage(main)
