"""What two trainings at once on one machine cost each other: threads that sleep while they wait, threads that spin.

Trains a small set of its own, alone and two at the same time, as the train stage sets the thread pool up and with the
pool's own default. Side by side, two trainings can be done in twice the time of one at best, where both want all cores.

    python -m benchmarks.side_by_side
"""

import argparse
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.repeat import train
from cxr.npz.pack import build_shards
from tests.aws.films import write_npz_set

FILMS = {"train": 64, "val": 8, "test": 2, "corrupted": 8, "swapped": 8}
WAITING = {"threads sleep (ours)": {}, "threads spin (default)": {"GOMP_SPINCOUNT": "300000"}}


def main() -> None:
    """Print seconds alone and side by side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=8, help="batches of each training, at least")
    parser.add_argument("--side", type=int, default=64, help="pixels of a film")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="side-by-side-") as name:
        shards = Path(name) / "shards"
        build_shards(write_npz_set(Path(name) / "npz", options.side, FILMS), shards)
        train(shards, 1, True, {})  # caches of files are warm in each of the following
        checkpoints = set()
        print(f"{'':<26}{'alone, s':>10}{'two, s':>10}{'ratio':>8}")
        for title, environment in WAITING.items():
            seconds = []
            for count in (1, 2):
                started = time.perf_counter()
                with ThreadPoolExecutor() as pool:
                    running = [pool.submit(train, shards, options.steps, True, environment) for _ in range(count)]
                    checkpoints |= {training.result().md5 for training in running}
                seconds.append(time.perf_counter() - started)
            alone, two = seconds
            print(f"{title:<26}{alone:>10.1f}{two:>10.1f}{two / alone:>8.1f}", flush=True)
    print(f"{len(checkpoints)} different checkpoints")


if __name__ == "__main__":
    main()
