"""Equality of the weights' bits on other processors, and its cost.

Trains the films of data/shards, for few steps, with `train.portable` off and on, as other processors would: with the
caps that torch, oneDNN and MKL put on their instruction sets, and with other numbers of threads. `--emulate` also takes
training steps on emulated processors, with their vendor, caches and instruction sets (`apt install qemu-user`).

    python -m benchmarks.repeat
    python -m benchmarks.repeat --emulate Haswell EPYC
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from cxr.train.recipe import FEW_FILMS_BATCH
from testing.workspace import ROOT, load_yaml, save_yaml

AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
PROCESSORS: dict[str, dict[str, str]] = {
    "this one": {},
    "this one, one thread": {"OMP_NUM_THREADS": "1"},
    "no more than AVX2": AVX2,
    "no more than AVX2, MKL of an Intel": {**AVX2, "MKL_CBWR": "AVX2"},
    "no more than AVX2, four threads": {**AVX2, "OMP_NUM_THREADS": "4"},
}


@dataclass(frozen=True)
class Training:
    """What became of one training."""

    md5: str  # of the checkpoint
    wall: float  # seconds
    processor: float  # seconds of processor time


def train(shards: Path, steps: int, portable: bool, caps: dict[str, str]) -> Training:
    """Run the train stage in a folder of its own; raises CalledProcessError when it fails."""
    with tempfile.TemporaryDirectory(prefix="repeat-") as name:
        folder = Path(name)
        (folder / "data").mkdir()
        (folder / "data" / "shards").symlink_to(shards.resolve())
        params = load_yaml(ROOT / "params.yaml")
        params["train"] |= {"epochs": 1, "min_steps": steps, "warmup": 0.0, "portable": portable}
        save_yaml(folder / "params.yaml", params)
        shutil.copy2(ROOT / "compute.yaml", folder)
        git = ["git", "-c", "user.name=-", "-c", "user.email=-", "-c", "commit.gpgsign=false"]
        subprocess.run([*git, "init", "-q"], cwd=folder, check=True)
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], cwd=folder, check=True)
        environment = {**os.environ, **caps, "PYTHONPATH": str(ROOT), "DVC_ROOT": name}
        before, started = os.times(), time.perf_counter()
        subprocess.run([sys.executable, "-m", "stages.train"], cwd=folder, env=environment, check=True)
        wall, after = time.perf_counter() - started, os.times()
        checkpoint = (folder / "models" / "classifier.ckpt").read_bytes()
        used = after.children_user + after.children_system - before.children_user - before.children_system
        return Training(hashlib.md5(checkpoint).hexdigest(), wall, used)


def steps_on(processor: str, px: int, batch: int) -> str:
    """MD5 of the weights after two steps on an emulated processor; `this one` is not emulated."""
    emulator = [] if processor == "this one" else ["qemu-x86_64", "-cpu", processor]
    python = Path(sys.executable).resolve()  # the emulator follows no virtual environment
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    command = [*emulator, str(python), "-m", "benchmarks.repeat_step", str(px), str(batch)]
    ran = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return ran.stdout.strip()


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, default=ROOT / "data" / "shards")
    parser.add_argument("--steps", type=int, default=12, help="batches of each training, at least")
    parser.add_argument("--emulate", nargs="*", default=[], metavar="CPU", help="names of `qemu-x86_64 -cpu help`")
    options = parser.parse_args()
    train(options.shards, options.steps, False, {})  # caches of files are warm in each of the following
    runs: dict[bool, dict[str, Training]] = {False: {}, True: {}}
    print(f"{'processor':<36}{'portable: false':<36}{'portable: true'}")
    for name, caps in PROCESSORS.items():
        for portable, found in runs.items():
            found[name] = train(options.shards, options.steps, portable, caps)
        print(f"{name:<36}{runs[False][name].md5:<36}{runs[True][name].md5}", flush=True)
    off, on = runs[False]["this one"], runs[True]["this one"]
    print(f"cost of portable: {on.wall / off.wall:.2f} times the wall time, "
          f"{on.processor / off.processor:.2f} times the processor time", flush=True)  # fmt: skip
    params = load_yaml(ROOT / "params.yaml")
    for processor in ["this one", *options.emulate] if options.emulate else []:
        md5 = steps_on(processor, params["preprocess"]["image_px"], FEW_FILMS_BATCH)
        print(f"two steps, portable, {processor}: {md5}", flush=True)


if __name__ == "__main__":
    main()
