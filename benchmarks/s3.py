"""The films of a cohort to S3 and back, as shards and one by one, beside `aws s3 sync` and `dvc push`, in one run.

`python -m benchmarks.s3 [--films 2000] [--rounds 3]` starts a SeaweedFS of its own on loopback ports. Each transfer
goes to an empty prefix and, down, to an empty folder. `shards` is what the hand-off sends and a job downloads;
`publish_npz`, `aws` and `dvc` move the NPZ of the same films. All take turns in each round, and the best of the rounds
counts, so that other work on the machine disturbs the ratios little. Processor seconds are the client's alone.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import boto3
import cv2
import numpy as np

from cxr.aws import inputs as shard_channels
from cxr.aws import npz as npz_channels
from cxr.aws.s3 import Store
from cxr.npz.films import NpzFilm, NpzRow, encode_npz, write_index
from cxr.npz.pack import build_shards
from cxr.npz.shards import open_shards
from tests.aws.seaweed import ACCESS_KEY, SECRET_KEY, SeaweedFS

BUCKET = "benchmark"
SIDE = 224
CLASSES = ("normal", "pneumonia")


class Transfer(NamedTuple):
    """One way to move the films, each time to a prefix and a folder of its own."""

    up: Callable[[str], object]
    down: Callable[[str, Path], object]
    clear: Callable[[], object] = bool  # before `down`


class Spent(NamedTuple):
    """Seconds of one direction."""

    wall: float
    processor: float


def write_set(folder: Path, films: int) -> None:
    """An NPZ set of grey noise as smooth as a film: it compresses as one does."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(films):
        split, name = ("train", "train", "train", "val", "test")[number % 5], f"film{number:05d}"
        grey = cv2.GaussianBlur(rng.integers(0, 256, (SIDE, SIDE), np.uint8), (0, 0), 1.5)
        image = np.stack([grey, grey, grey, np.where(grey > 127, 255, 0).astype(np.uint8)], axis=2)
        box, size = (0, 0, SIDE, SIDE), (SIDE, SIDE)
        film = NpzFilm(image, number % 2, name, f"P{number}", CLASSES, f"{number:032x}", box, size, "{}")
        (folder / split).mkdir(parents=True, exist_ok=True)
        (folder / split / f"{name}.npz").write_bytes(encode_npz(film))
        label = CLASSES[number % 2]
        rows.append(NpzRow(f"{split}/{name}.npz", name, f"P{number}", split, label, CLASSES, film.film_hash))
    write_index(folder / "index.csv", rows)


def spent(work: Callable[..., object], *given: object) -> Spent:
    """Of one call and of the processes that it waited for."""
    before, start = os.times(), time.perf_counter()
    work(*given)
    after = os.times()
    return Spent(time.perf_counter() - start, sum(after[:4]) - sum(before[:4]))


def run(*command: str, cwd: Path | None = None) -> None:
    """A command that must succeed."""
    subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.DEVNULL)


def shards_transfer(folder: Path) -> Transfer:
    """Up as the hand-off sends them, hashing included; down with the same store."""

    def plan() -> shard_channels.ShardChannels:
        return shard_channels.plan_channels(open_shards(folder))

    def up(prefix: str) -> None:
        shard_channels.publish_channels(plan(), Store(f"s3://{BUCKET}/{prefix}"))

    def down(prefix: str, to: Path) -> None:
        Store(f"s3://{BUCKET}/{prefix}").fetch_all({item.key: (to / item.key, item.md5) for item in planned}, "fetch")

    planned = plan().items
    return Transfer(up, down)


def publish_npz_transfer(folder: Path) -> Transfer:
    """Up with all hashing; down with the check of each film."""
    md5 = npz_channels.plan_channels(folder).data_md5

    def up(prefix: str) -> None:
        npz_channels.publish_channels(npz_channels.plan_channels(folder), Store(f"s3://{BUCKET}/{prefix}"))

    def down(prefix: str, to: Path) -> None:
        npz_channels.fetch_channels(Store(f"s3://{BUCKET}/{prefix}/{md5}"), to)

    return Transfer(up, down)


def aws_transfer(folder: Path, server: SeaweedFS) -> Transfer:
    """AWS's own command."""
    aws = ("aws", "s3", "sync", "--only-show-errors", "--endpoint-url", server.url)
    return Transfer(
        lambda prefix: run(*aws, str(folder), f"s3://{BUCKET}/{prefix}/"),
        lambda prefix, to: run(*aws, f"s3://{BUCKET}/{prefix}/", str(to)),
    )


def dvc_transfer(folder: Path, server: SeaweedFS) -> Transfer:
    """`dvc push` and `dvc pull` of one out, hashed before; down into an empty cache."""
    project, dvc = folder.parent / f"dvc-{folder.name}", (sys.executable, "-m", "dvc")
    project.mkdir()
    shutil.copytree(folder, project / "films")
    for command in (
        ("init", "-q", "--no-scm"),
        ("remote", "add", "-d", "s", f"s3://{BUCKET}"),
        ("remote", "modify", "s", "endpointurl", server.url),
        ("add", "-q", "films"),
    ):
        run(*dvc, *command, cwd=project)

    def up(prefix: str) -> None:
        (project / ".dvc" / "config.local").write_text(f"['remote \"s\"']\n    url = s3://{BUCKET}/{prefix}\n")
        run(*dvc, "push", "-q", cwd=project)

    def clear() -> None:
        shutil.rmtree(project / ".dvc" / "cache")
        shutil.rmtree(project / "films")

    return Transfer(up, lambda *_: run(*dvc, "pull", "-q", cwd=project), clear)


def measure(transfers: Mapping[str, Transfer], folder: Path, rounds: int) -> dict[str, tuple[Spent, Spent]]:
    """Best seconds up and down of each transfer, which take turns."""
    best: dict[str, tuple[Spent, Spent]] = {}
    for number in range(rounds):
        for place, (name, transfer) in enumerate(transfers.items()):
            prefix, to = f"{place}-{number}", folder / "down"
            up = spent(transfer.up, prefix)
            transfer.clear()
            down = spent(transfer.down, prefix, to)
            shutil.rmtree(to, ignore_errors=True)
            earlier = best.get(name, (up, down))
            best[name] = min(earlier[0], up), min(earlier[1], down)
    return best


def main() -> None:
    """Print seconds and ratios."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.s3", description=__doc__)
    parser.add_argument("--films", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rates", type=Path, help="add bytes a second to this file, for benchmarks.scale")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "server").mkdir()
        server = SeaweedFS(folder / "server")
        os.environ |= {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
        os.environ |= {"AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "eu-central-1"}
        npz, shards = folder / "npz", folder / "shards"
        write_set(npz, options.films)
        packing = spent(build_shards, npz, shards)
        sizes = {path.name: sum(file.stat().st_size for file in path.rglob("*")) for path in (npz, shards)}
        with server.running():
            os.environ["AWS_ENDPOINT_URL_S3"] = server.url
            boto3.client("s3").create_bucket(Bucket=BUCKET)
            transfers = {
                "shards": shards_transfer(shards),
                "publish_npz": publish_npz_transfer(npz),
                "dvc push / pull": dvc_transfer(npz, server),
                "dvc push / pull, shards": dvc_transfer(shards, server),
            }
            if shutil.which("aws"):
                transfers["aws s3 sync"] = aws_transfer(npz, server)
            else:
                print("`aws` is not installed: left out")
            times = measure(transfers, folder, options.rounds)
    print(
        f"{options.films} films, {sizes['npz'] / 1e6:.0f} MB as NPZ, {sizes['shards'] / 1e6:.0f} MB as shards ", end=""
    )
    print(f"(packed in {packing.wall:.1f} s); seconds, and those of the processor\n{'':26}{'up':>16}{'down':>16}")
    for name, (up, down) in times.items():
        print(f"{name:26}{up.wall:8.1f}{up.processor:8.1f}{down.wall:8.1f}{down.processor:8.1f}")
    for ours in ("shards", "publish_npz"):
        for place, direction in enumerate(("up", "down")):
            peers = {name: times[name][place].wall for name in ("aws s3 sync", "dvc push / pull") if name in times}
            best = min(peers, key=lambda name: peers[name])
            ratio = peers[best] / times[ours][place].wall
            print(f"{ours} {direction}: {ratio:.2f} times the speed of the better, {best}")
    if options.rates:
        facts = json.loads(options.rates.read_text(encoding="utf-8"))
        facts["shard_bytes_per_second"] = {
            direction: sizes["shards"] / times["shards"][place].wall for place, direction in enumerate(("up", "down"))
        }
        options.rates.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
