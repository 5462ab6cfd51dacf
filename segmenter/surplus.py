"""Where the network draws lung and the references do not: between the lungs (heart, spine), below them, or elsewhere.

    python -m segmenter.surplus [data set, by default montgomery]

Data set and films lie as segmenter/params.yaml says; the network is the one that ships.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.core.config import load_section
from cxr.films.letterbox import Image
from cxr.runtime.console import progress
from cxr.segment.config import SegmentSection
from cxr.segment.lungs import clean, split_sides
from cxr.segment.segmenter import load_segmenter
from segmenter.config import PARAMS, PrepareSection
from segmenter.pairs import find_pairs, read_pair
from segmenter.quality import MODEL


def main() -> None:
    """Print shares of the surplus area over all held-out films of a data set, and Dice without what lies between."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", nargs="?", default="montgomery")
    parser.add_argument("--root", type=Path, help="where the pairs lie, if not where segmenter/params.yaml says")
    options = parser.parse_args()
    prepare = load_section("prepare", PrepareSection, PARAMS)
    pairs = find_pairs(prepare.model_copy(update={"root": options.root} if options.root else {}))
    chosen = [pair for pair in pairs if pair.dataset == options.dataset and pair.split == "test"]
    network, threshold = load_segmenter(MODEL), load_section("segment", SegmentSection).threshold
    rows = []
    for pair in progress(chosen, len(chosen), options.dataset):
        film, reference, frame = read_pair(pair, network.frame_px)
        rows.append(surplus(clean(network.probability(film), frame, threshold), reference))
    total = pd.DataFrame(rows).sum()
    extra = total["between"] + total["below"] + total["elsewhere"]
    print(f"{len(rows)} films; surplus is {extra / total['found']:.1%} of the area that is found")
    for place in ("between", "below", "elsewhere"):
        print(f"{place}: {total[place] / extra:.1%} of the surplus")
    print(
        f"mean Dice {total['dice'] / len(rows):.3f}, without what lies between {total['dice_without'] / len(rows):.3f}"
    )


def surplus(found: Image, reference: Image) -> dict[str, float]:
    """Pixels found, and of those that the reference has not: between its lungs, below them, elsewhere; and Dice.

    Between is right of the right lung's last and left of the left lung's first pixel of the same row; below is under a
    lung's last pixel of the same column.
    """
    right, left = (side > 0 for side in split_sides((reference > 0).astype(np.uint8), (0, 0, *reference.shape[::-1])))
    true, drawn = reference > 0, found > 0
    extra = drawn & ~true
    after_right = np.logical_or.accumulate(right, axis=1)
    before_left = np.logical_or.accumulate(left[:, ::-1], axis=1)[:, ::-1]
    between = extra & after_right & before_left
    below = extra & ~between & np.logical_or.accumulate(true, axis=0)
    overlap, both = np.count_nonzero(true & drawn), np.count_nonzero(true) + np.count_nonzero(drawn)
    counts = {name: float(np.count_nonzero(part)) for name, part in (("between", between), ("below", below))}
    return counts | {
        "found": float(np.count_nonzero(drawn)),
        "elsewhere": float(np.count_nonzero(extra)) - sum(counts.values()),
        "dice": 2 * overlap / both,
        "dice_without": 2 * overlap / (both - counts["between"]),
    }


if __name__ == "__main__":
    main()
