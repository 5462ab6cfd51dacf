"""Stage train: the network that ships, learned from the films that the screening left in."""

import shutil

import numpy as np
import pandas as pd

from cxr.core.config import load_section
from cxr.core.files import digest, write_csv
from cxr.runtime.console import run_stage
from segmenter.config import PARAMS, RESUME, WORK, TrainSection
from segmenter.fit import fit
from segmenter.network import save_network
from segmenter.table import read_pairs


def main() -> None:
    """Write lung_net.pt and history.csv; a run that was cut off goes on from its last whole epoch."""
    section = load_section("train", TrainSection, PARAMS)
    films, masks = (np.load(WORK / "films" / f"{name}.npy", mmap_mode="r") for name in ("films", "masks"))
    pairs = [pair for pair in read_pairs(WORK / "films" / "pairs.csv") if pair.split != "test"]
    screened = WORK / "screen.csv"
    left_out = set(pd.read_csv(screened).query("left_out")["film"])
    learn = [at for at, pair in enumerate(pairs) if pair.split == "train" and pair.film not in left_out]
    check = [at for at, pair in enumerate(pairs) if pair.split == "val" and pair.film not in left_out]
    run = digest(section.model_dump_json().encode(), screened.read_bytes())
    resume = RESUME / run
    network, history = fit(films, masks, learn, check, section, resume)
    save_network(WORK / "lung_net.pt", network)
    write_csv(WORK / "history.csv", history)
    shutil.rmtree(resume)


if __name__ == "__main__":
    run_stage(main)
