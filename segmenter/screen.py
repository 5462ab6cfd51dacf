"""Stage screen: look for bad masks by asking, for each film, a network that never saw its patient."""

import logging
import shutil

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader

from cxr.core.config import load_section
from cxr.core.files import digest, write_csv
from cxr.runtime.console import run_stage
from segmenter.config import PARAMS, RESUME, WORK, ScreenSection
from segmenter.network import LungNet
from segmenter.table import Films, Pair, read_learning_set
from segmenter.train import PlainFilms, dice_of, fit

log = logging.getLogger(__name__)


def main() -> None:
    """Write screen.csv: Dice of each training film's mask against the network of another fold."""
    section = load_section("screen", ScreenSection, PARAMS)
    films, masks, pairs = read_learning_set(WORK / "films")
    table = screen(films, masks, pairs, section)
    write_csv(WORK / "screen.csv", table)
    log.info("%d of %d films left out", table["left_out"].sum(), len(table))


def screen(films: Films, masks: Films, pairs: list[Pair], section: ScreenSection) -> pd.DataFrame:
    """One row a film: film, fold, dice, left_out."""
    folds = [fold_of(pair, section.folds) for pair in pairs]
    dice = np.zeros(len(pairs))
    for fold in range(section.folds):
        inside = [at for at in range(len(pairs)) if folds[at] == fold]
        outside = [at for at in range(len(pairs)) if folds[at] != fold]
        resume = RESUME / digest(section.model_dump_json().encode(), str((fold, outside)).encode())
        network, _ = fit(films, masks, outside, inside[: section.batch], section, resume)
        dice[inside] = agreement(network, films, masks, inside, section)
        shutil.rmtree(resume)
    names = [pair.film for pair in pairs]
    return pd.DataFrame({"film": names, "fold": folds, "dice": dice.round(4), "left_out": dice < section.min_dice})


def fold_of(pair: Pair, folds: int) -> int:
    """The fold of a pair, 0 to `folds` - 1: it follows from the patient's name, so a patient's films share one."""
    return int(digest(pair.patient.encode())[:8], 16) % folds


@torch.inference_mode()
def agreement(net: LungNet, films: Films, masks: Films, at: list[int], section: ScreenSection) -> list[float]:
    """Dice of the reference masks against what the network finds, one a film."""
    loader = DataLoader(PlainFilms(films, masks, at, section.inner_px), section.batch)
    return [float(dice) for rgb, mask in loader for dice in dice_of(net.logits(rgb) > 0, mask > 0.5)]


if __name__ == "__main__":
    run_stage(main)
