"""How far the reference masks can be met at all.

    python -m segmenter.ceiling [--halves]

Some films stand in the data more than once, byte for byte, with a mask each: how alike are these masks, and how near is
the network that ships to them? With --halves, two networks are trained on disjoint halves of the training patients by
the recipe of segmenter/params.yaml (`python -m segmenter.prepare` comes first): where they agree with each other much
better than with the masks, more films will not bring them nearer: the rest is how the masks were drawn, or what a
network of this kind does not see.
"""

import argparse
import shutil
from collections import defaultdict
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader

from cxr.core.config import load_section
from cxr.core.errors import CxrError
from cxr.core.files import digest
from cxr.runtime.console import progress, run_stage
from cxr.segment.config import SegmentSection
from cxr.segment.lungs import clean
from cxr.segment.scores import mask_scores
from cxr.segment.segmenter import Segmenter, load_segmenter
from segmenter.config import PARAMS, RESUME, WORK, PrepareSection, TrainSection
from segmenter.fit import Films, PlainFilms, dice_of, fit
from segmenter.pairs import find_pairs, read_pair
from segmenter.quality import MODEL
from segmenter.screen import fold_of
from segmenter.table import Pair, read_pairs


def main() -> None:
    """Print Dice between masks of one film and of the network with them; with --halves, of two networks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--halves", action="store_true", help="train two networks on disjoint halves")
    options = parser.parse_args()
    if options.halves and not (WORK / "films").is_dir():
        raise CxrError(f"{WORK / 'films'}: no prepared films; run `python -m segmenter.prepare` first")
    network, threshold = load_segmenter(MODEL), load_section("segment", SegmentSection).threshold
    doubles = repeated(find_pairs(load_section("prepare", PrepareSection, PARAMS)))
    rows = [drawn_twice(one, other, network, threshold) for one, other in progress(doubles, len(doubles), "films")]
    print(f"{len(rows)} pairs of masks of one film\n{summary(rows)}")
    if options.halves:
        films, masks = (np.load(WORK / "films" / f"{name}.npy", mmap_mode="r") for name in ("films", "masks"))
        pairs = [pair for pair in read_pairs(WORK / "films" / "pairs.csv") if pair.split != "test"]
        rows = halves(films, masks, pairs, load_section("train", TrainSection, PARAMS))
        print(f"two networks on halves of the patients, {len(rows)} validation films\n{summary(rows)}")


def repeated(pairs: list[Pair]) -> list[tuple[Pair, Pair]]:
    """All pairs whose films are the same bytes."""
    alike = defaultdict(list)
    for pair in pairs:
        alike[digest(Path(pair.film).read_bytes())].append(pair)
    return [two for same in alike.values() for two in combinations(same, 2)]


def drawn_twice(one: Pair, other: Pair, network: Segmenter, threshold: float) -> dict[str, float]:
    """Dice in the frame between two masks of a film, and between what the network finds and each, the mean."""
    film, mask, frame = read_pair(one, network.frame_px)
    again = read_pair(other, network.frame_px)[1]
    found = clean(network.probability(film), frame, threshold)
    ours = (mask_scores(found, mask).dice + mask_scores(found, again).dice) / 2
    return {"mask and mask": mask_scores(mask, again).dice, "network and mask": ours}


def halves(films: Films, masks: Films, pairs: list[Pair], section: TrainSection) -> list[dict[str, float]]:
    """Dice on each validation film between two networks, and of each with the mask, at the network's resolution."""
    check = [at for at, pair in enumerate(pairs) if pair.split == "val"]
    found = []
    for half in range(2):
        learn = [at for at, pair in enumerate(pairs) if pair.split == "train" and fold_of(pair, 2) == half]
        resume = RESUME / digest(section.model_dump_json().encode(), f"half {half}".encode())
        network, _ = fit(films, masks, learn, check, section, resume)
        shutil.rmtree(resume)
        with torch.inference_mode():
            found.append([network.logits(rgb) > 0 for rgb, _ in _plain(films, masks, check, section)])
    true = [mask > 0.5 for _, mask in _plain(films, masks, check, section)]
    compared = {"network and network": found, "first and mask": (found[0], true), "second and mask": (found[1], true)}
    dice = {name: torch.cat([dice_of(a, b) for a, b in zip(*two, strict=True)]) for name, two in compared.items()}
    return [{name: float(values[at]) for name, values in dice.items()} for at in range(len(check))]


def summary(rows: list[dict[str, float]]) -> str:
    """Mean, median and lowest Dice of each comparison."""
    return str(pd.DataFrame(rows).agg(["mean", "median", "min"]).T.round(4))


def _plain(films: Films, masks: Films, at: list[int], section: TrainSection) -> DataLoader[tuple[torch.Tensor, ...]]:
    return DataLoader(PlainFilms(films, masks, at, section.inner_px), section.batch)


if __name__ == "__main__":
    run_stage(main)
