"""What opening the shards of a large cohort costs a training in memory and time.

Writes a set of that many films whose shards are files with holes, which take no room on the disk, opens it as the train
stage does, and reads batches from all over it. Memory is what the process holds, without the kernel's page cache.

    python -m benchmarks.open_shards
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.core.files import write_csv, write_json
from cxr.npz.pack import SHARD_BYTES
from cxr.npz.shards import COLUMNS, FACTS, TABLE
from cxr.train.films import open_films

BATCH = 32


def write_shards(folder: Path, films: int, side: int) -> None:
    """Shards full of zeros, a tenth of the films for validation."""
    each = SHARD_BYTES // (2 * side * side)
    rows = []
    for first in range(0, films, each):
        split, name, count = "val" if first < films // 10 else "train", f"{first:032x}.npy", min(each, films - first)
        np.lib.format.open_memmap(folder / name, mode="w+", dtype=np.uint8, shape=(count, 2, side, side))
        numbers = range(first, first + count)
        rows += [(split, name, n - first, f"film{n:08d}", f"P{n:08d}", n % 2, f"{n:032x}") for n in numbers]
    write_csv(folder / TABLE, pd.DataFrame(rows, columns=list(COLUMNS)))
    write_json(folder / FACTS, {"classes": ["normal", "pneumonia"], "image_px": side, "spec": "-"})


def own_megabytes() -> float:
    """Memory of this process that no file backs."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1024


def main() -> None:
    """Print megabytes and milliseconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=377_110, help="MIMIC-CXR has 377,110")
    parser.add_argument("--side", type=int, default=224, help="pixels of a film")
    parser.add_argument("--batches", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        write_shards(Path(name), options.films, options.side)
        before, started = own_megabytes(), time.perf_counter()
        films = open_films(Path(name)).train
        opened = time.perf_counter() - started
        random = np.random.default_rng(0)
        for _ in range(options.batches):
            films.images[random.integers(0, len(films.labels), BATCH)]
        held = own_megabytes() - before
    print(f"{options.films:,} films of {options.side} px: opened in {opened:.1f} s, {held:.0f} MB held")


if __name__ == "__main__":
    main()
