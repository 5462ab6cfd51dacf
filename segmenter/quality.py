"""The score of a mask: its tables, fitted on validation patients, and how well it tells on films of others.

    python -m segmenter.quality [FOLDER of films without masks] [--rows rows.csv]

Tables and figures are printed; the tables stand in segmenter/params.yaml and in the file of the network. Films and
masks lie as segmenter/params.yaml says, and the network is the one that ships, or that of --model.
"""

import argparse
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from cxr.core.config import load_section
from cxr.films.film import reduced
from cxr.films.letterbox import Image, Letterbox
from cxr.films.read import IMAGE_SUFFIXES, decode, read_source
from cxr.runtime.console import progress
from cxr.segment.config import SegmentSection
from cxr.segment.lungs import clean, film_in_frame, validate_mask
from cxr.segment.quality import expected_dice, mask_confidence
from cxr.segment.scores import mask_scores
from cxr.segment.segmenter import LungSegmenter, load_segmenter
from segmenter.config import PARAMS, PrepareSection
from segmenter.corrupted import CONDITIONS, SPOILT
from segmenter.prepare import find_pairs, read_pair
from segmenter.table import Pair

MODEL = Path("models/lung_segmenter.onnx")
EVERY = 6  # one film in six is spoilt, in each way
Floats = np.ndarray[Any, np.dtype[np.float64]]


def main() -> None:
    """Print the tables, then the figures of each set of films."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", type=Path, nargs="?", help="folder of films without masks")
    parser.add_argument("--rows", type=Path, help="write one row a film as CSV")
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--root", type=Path, help="where the pairs lie, if not where segmenter/params.yaml says")
    options = parser.parse_args()
    prepare = load_section("prepare", PrepareSection, PARAMS)
    pairs = find_pairs(prepare.model_copy(update={"root": options.root} if options.root else {}))
    network, settings = load_segmenter(options.model), load_section("segment", SegmentSection)
    table = pd.DataFrame([*_of_pairs(pairs, network, settings), *_of_folder(options.films, network, settings)])
    if options.rows:
        table.to_csv(options.rows, index=False)
    fitted = table[(table["set"].str.contains(" val")) & (table["quality"] > 0)]
    tables = network.quality
    for name, knots, fit in (
        ("soft_dice", tables.soft_dice[0], at_one_look),
        ("agreement", tables.agreement[0], at_two_looks),
    ):
        print(f"{name}: Dice {[round(value, 3) for value in fit(fitted, knots)]} at {knots}")
    for title, rows in table.groupby("set", sort=False):
        print(f"{title}: {figures(rows, tables.flagged)}")


def at_one_look(rows: pd.DataFrame, knots: list[float]) -> list[float]:
    """Dice at some values of soft Dice, of films as they are."""
    some = rows[rows["agreed"].isna() & (rows["condition"] == "none")]
    return monotone(some["sure"].to_numpy(float), some["dice"].to_numpy(float), np.array(knots))


def at_two_looks(rows: pd.DataFrame, knots: list[float]) -> list[float]:
    """Dice at some values of the agreement, of films as they are and spoilt."""
    some = rows[rows["agreed"].notna()]
    return monotone(some["agreed"].to_numpy(float), some["dice"].to_numpy(float), np.array(knots))


def monotone(x: Floats, y: Floats, knots: Floats) -> list[float]:
    """The broken line with the least squares that never falls, through 0 at 0: its values at the knots."""
    ramps = np.clip((x[:, None] - knots[:-1]) / np.diff(knots), 0, 1)
    steps, _ = nnls(np.column_stack([np.full(len(x), float(knots[0] > 0)), ramps]), y)
    return [float(value) for value in np.cumsum(steps)]


def figures(rows: pd.DataFrame, poor_dice: float) -> dict[str, float]:
    """Counts of masks, of poor ones and of flags; where there are references, correlation and error of the score."""
    flagged = rows["quality"] < poor_dice
    found: dict[str, float] = {
        "masks": len(rows),
        "second_looks": int(rows["agreed"].notna().sum()),
        "flagged": int(flagged.sum()),
    }
    if rows["dice"].isna().all():
        return found
    poor, scored = rows["dice"] < poor_dice, rows[rows["quality"] > 0]
    return found | {
        "poor": int(poor.sum()),
        "poor_and_flagged": int((poor & flagged).sum()),
        "good_but_flagged": int((~poor & flagged).sum()),
        "dice": round(float(scored["dice"].mean()), 3),
        "score": round(float(scored["quality"].mean()), 3),
        "mean_error": round(float((scored["quality"] - scored["dice"]).abs().mean()), 3),
        "pearson": round(float(scored["quality"].corr(scored["dice"])), 3),
        "spearman": round(float(scored["quality"].rank().corr(scored["dice"].rank())), 3),
    }


def _of_pairs(pairs: list[Pair], network: LungSegmenter, settings: SegmentSection) -> Iterable[dict[str, Any]]:
    for name in dict.fromkeys(f"{pair.dataset} {pair.split}" for pair in pairs if pair.split != "train"):
        some = [pair for pair in pairs if f"{pair.dataset} {pair.split}" == name]
        for title, chosen, conditions in (
            (name, some, {"none": CONDITIONS["none"]}),
            (f"{name}, spoilt", some[::EVERY], SPOILT),
        ):
            for pair in progress(chosen, len(chosen), title):
                film, mask, frame = read_pair(pair, network.frame_px)
                for condition, spoil in conditions.items():
                    picture, true = spoil(film, mask)
                    place = frame if condition == "none" else replace(frame, width=1, height=1)  # it may have turned
                    facts = {"set": title, "condition": condition, "film": pair.film}
                    yield facts | row(picture, place, true, network, settings)


def _of_folder(folder: Path | None, network: LungSegmenter, settings: SegmentSection) -> Iterable[dict[str, Any]]:
    films = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES) if folder else []
    for path in progress(films, len(films), str(folder)):
        opened = reduced(decode(read_source(str(path))))
        frame = Letterbox(*opened.size, network.frame_px)
        picture = film_in_frame(opened, frame, grey=True)
        yield {"set": str(folder), "condition": "none", "film": path.name} | row(
            picture, frame, None, network, settings
        )


def row(
    picture: Image, frame: Letterbox, reference: Image | None, network: LungSegmenter, settings: SegmentSection
) -> dict[str, Any]:
    """What is measured of one mask: dice, sure, agreed, quality, reason; dice is NaN without a reference."""
    probability = network.probability(picture)
    found = clean(probability, frame, settings.threshold)
    sure, agreed = mask_confidence(picture, probability, found, frame, network, settings.threshold)
    lungs = validate_mask(probability, found, frame, expected_dice(sure, agreed, network.quality), settings)
    dice = float("nan") if reference is None else mask_scores(found, reference).dice
    return {"dice": dice, "sure": sure, "agreed": agreed, "quality": lungs.quality, "reason": lungs.reason}


if __name__ == "__main__":
    main()
