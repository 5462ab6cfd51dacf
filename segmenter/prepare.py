"""Stage prepare: find the pairs, split them by patient, keep the training films as small arrays."""

import logging
from collections import Counter

import cv2
import numpy as np

from cxr.core.config import load_section
from cxr.core.files import atomic_folder
from cxr.runtime.console import progress, run_stage
from segmenter.config import PARAMS, WORK, PrepareSection
from segmenter.pairs import find_pairs, read_pair
from segmenter.table import write_pairs

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


if __name__ == "__main__":
    run_stage(main)
