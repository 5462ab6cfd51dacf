"""Whether weights and bundle have the same bits on other processors, and what that costs.

Trains the films of data/shards, for few steps, with `train.portable` off and on, as other processors would: with the
caps that torch, oneDNN and MKL put on their instruction sets, and with other numbers of threads. `--emulate` also takes
training steps, finds lungs and runs the package stage on emulated processors, with their vendor, caches and instruction
sets (`apt install qemu-user`). The package stage needs the outputs of `dvc repro`. Only lungs run on a Nehalem: the
network has the same outputs there, and OpenCV interpolates the masks with other rounding.

    python -m benchmarks.repeat
    python -m benchmarks.repeat --emulate Haswell EPYC
    python -m benchmarks.repeat --parts package --emulate Haswell EPYC
    python -m benchmarks.repeat --parts lungs --emulate Haswell Nehalem
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

from cxr.npz.films import INDEX, NpzRow, read_index, write_index
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
THIS = "this one"
PARTS = ("training", "steps", "lungs", "package")
SEGMENTERS = {"integers": "models/lung_segmenter.onnx", "floating point": "models/chest_xray/lung_segmenter.onnx"}
NPZ, PACKED = "data/npz", ("train", "val")  # the films of a bundle's reference


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


def run_on(processor: str, folder: Path, *command: str) -> str:
    """Standard output of `python -m COMMAND` in a folder, on an emulated processor; `this one` is not emulated."""
    emulator = [] if processor == THIS else ["qemu-x86_64", "-cpu", processor]
    python = Path(sys.executable).resolve()  # the emulator follows no virtual environment
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    whole = [*emulator, str(python), "-m", *command]
    return subprocess.run(whole, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


def package_on(processor: str, films: int) -> dict[str, str]:
    """Run the package stage on the outputs of this checkout; returns the MD5 of each file that it writes, by path.

    An emulated processor takes seconds per film, so the first films of the training and validation sets stand for all.
    """
    stage = load_yaml(ROOT / "dvc.yaml")["stages"]["package"]
    inputs = [place for place in stage["deps"] if not place.startswith(("cxr/", "stages/", NPZ))]
    rows = read_index(ROOT / NPZ)
    with tempfile.TemporaryDirectory(prefix="repeat-") as name:
        folder = Path(name)
        write_index(folder / NPZ / INDEX, [row for split in PACKED for row in _of_split(rows, split)[: films // 2]])
        for place in ["params.yaml", *inputs, *(f"{NPZ}/{split}" for split in PACKED)]:
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).symlink_to((ROOT / place).resolve(strict=True))
        run_on(processor, folder, "stages.package")
        written = [path for path in sorted((folder / "models").rglob("*")) if path.is_file() and not path.is_symlink()]
        return {str(path.relative_to(folder)): hashlib.md5(path.read_bytes()).hexdigest() for path in written}


def _of_split(rows: list[NpzRow], split: str) -> list[NpzRow]:
    return [row for row in rows if row.split == split]


def compare_trainings(shards: Path, steps: int) -> None:
    """Print the checkpoints under caps and thread counts, and the cost of portable arithmetic."""
    train(shards, steps, False, {})  # caches of files are warm in each of the following
    runs: dict[bool, dict[str, Training]] = {False: {}, True: {}}
    print(f"{'processor':<36}{'portable: false':<36}{'portable: true'}")
    for name, caps in PROCESSORS.items():
        for portable, found in runs.items():
            found[name] = train(shards, steps, portable, caps)
        print(f"{name:<36}{runs[False][name].md5:<36}{runs[True][name].md5}", flush=True)
    off, on = runs[False][THIS], runs[True][THIS]
    print(f"cost of portable: {on.wall / off.wall:.2f} times the wall time, "
          f"{on.processor / off.processor:.2f} times the processor time", flush=True)  # fmt: skip


def compare_steps(processors: list[str]) -> None:
    """Print the MD5 of the weights after two training steps on each processor."""
    px = load_yaml(ROOT / "params.yaml")["preprocess"]["image_px"]
    for processor in processors:
        md5 = run_on(processor, ROOT, "benchmarks.repeat_step", str(px), str(FEW_FILMS_BATCH)).strip()
        print(f"two steps, portable, {processor}: {md5}", flush=True)


def compare_lungs(processors: list[str]) -> None:
    """Print the MD5 of the lung segmenter's outputs and of its masks on each processor."""
    for name, model in SEGMENTERS.items():
        for processor in processors:
            outputs, masks = run_on(processor, ROOT, "benchmarks.repeat_lungs", model, "3").split()
            print(f"lungs in {name}, {processor}: outputs {outputs}, masks {masks}", flush=True)


def compare_bundles(processors: list[str], films: int) -> None:
    """Print the MD5 of the bundle's archive on each processor, and the files that differ from the first one's."""
    expected: dict[str, str] = {}
    for processor in processors:
        found = package_on(processor, films)
        expected = expected or found
        differ = ", ".join(name for name in expected | found if expected.get(name) != found.get(name))
        print(f"package, {processor}: {found['models/model.tar.gz']}, differ: {differ or 'none'}", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, default=ROOT / "data" / "shards")
    parser.add_argument("--steps", type=int, default=12, help="batches of each training, at least")
    parser.add_argument("--films", type=int, default=20, help="films that the package stage reads")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to compare (default: all)")
    parser.add_argument("--emulate", nargs="+", default=[], metavar="CPU", help="names of `qemu-x86_64 -cpu help`")
    options = parser.parse_args()
    if "training" in options.parts:
        compare_trainings(options.shards, options.steps)
    processors = [THIS, *options.emulate]
    if "steps" in options.parts and options.emulate:
        compare_steps(processors)
    if "lungs" in options.parts and options.emulate:
        compare_lungs(processors)
    if "package" in options.parts and options.emulate:
        compare_bundles(processors, options.films)


if __name__ == "__main__":
    main()
