"""The films of a cohort to S3 and back, as shards and one by one, beside `aws s3 sync` and `dvc push`, in one run.

`python -m benchmarks.s3 [--films 5000]` starts a SeaweedFS of its own on loopback ports. Each transfer goes to an empty
prefix. `shards` is what the hand-off sends and a job downloads; `publish_npz`, `aws` and `dvc` move the NPZ of the same
films. `aws` is left out, and said to be, where the command is missing.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import boto3
import cv2
import numpy as np

from cxr.launch import npz_channels, shard_channels
from cxr.launch.store import Store
from cxr.npz.npz_set import NpzFilm, NpzRow, encode_npz, write_index
from cxr.shards.build import build_shards
from cxr.shards.shard_set import open_shards
from tests.launch.seaweed import ACCESS_KEY, SECRET_KEY, SeaweedFS

BUCKET = "benchmark"
SIDE = 224
CLASSES = ("normal", "pneumonia")
Times = dict[str, tuple[float, float]]


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


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def run(*command: str, cwd: Path | None = None) -> None:
    """A command that must succeed."""
    subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.DEVNULL)


def measure_shards(folder: Path) -> Times:
    """Up as the hand-off sends them, hashing included; down with the same store."""
    store = Store(f"s3://{BUCKET}")

    def publish() -> None:
        shard_channels.publish_channels(shard_channels.plan_channels(open_shards(folder / "shards")), store)

    def fetch() -> None:
        items = shard_channels.plan_channels(open_shards(folder / "shards")).items
        store.fetch_all({item.key: (folder / "fetched" / item.key, item.md5) for item in items}, "fetch")

    times = {"shards": (seconds(publish), seconds(fetch))}
    return times | {"shards again": (seconds(publish), float("nan"))}


def measure_npz(folder: Path) -> Times:
    """publish_npz and back."""
    store = Store(f"s3://{BUCKET}/npz")
    channels = npz_channels.plan_channels(folder / "npz")

    def publish() -> None:
        npz_channels.publish_channels(npz_channels.plan_channels(folder / "npz"), store)

    below = Store(store.below(channels.data_md5))
    times = {"publish_npz": (seconds(publish), seconds(lambda: npz_channels.fetch_channels(below, folder / "ours")))}
    assert npz_channels.plan_channels(folder / "ours").data_md5 == channels.data_md5
    return times


def measure_aws(folder: Path, server: SeaweedFS) -> Times:
    """AWS's own command."""
    aws = ("aws", "s3", "sync", "--only-show-errors", "--endpoint-url", server.url)
    address = f"s3://{BUCKET}/aws/"
    up = seconds(lambda: run(*aws, str(folder / "npz"), address))
    return {"aws s3 sync": (up, seconds(lambda: run(*aws, address, str(folder / "aws"))))}


def measure_dvc(folder: Path, server: SeaweedFS, name: str) -> tuple[float, float]:
    """`dvc push` and `dvc pull` of one out."""
    project, dvc = folder / f"dvc-{name}", (sys.executable, "-m", "dvc")
    project.mkdir()
    shutil.copytree(folder / name, project / name)
    for command in (
        ("init", "-q", "--no-scm"),
        ("remote", "add", "-d", "s", f"s3://{BUCKET}/dvc-{name}"),
        ("remote", "modify", "s", "endpointurl", server.url),
        ("add", "-q", name),
    ):
        run(*dvc, *command, cwd=project)
    up = seconds(lambda: run(*dvc, "push", "-q", cwd=project))
    shutil.rmtree(project / ".dvc" / "cache")
    shutil.rmtree(project / name)
    return up, seconds(lambda: run(*dvc, "pull", "-q", cwd=project))


def main() -> None:
    """Print seconds and ratios."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.s3", description=__doc__)
    parser.add_argument("--films", type=int, default=5000)
    parser.add_argument("--rates", type=Path, help="add bytes a second to this file, for benchmarks.scale")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "server").mkdir()
        server = SeaweedFS(folder / "server")
        os.environ |= {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
        os.environ |= {"AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "eu-central-1"}
        write_set(folder / "npz", options.films)
        building = seconds(lambda: build_shards(folder / "npz", folder / "shards"))
        sizes = {name: sum(path.stat().st_size for path in (folder / name).rglob("*")) for name in ("npz", "shards")}
        with server.running():
            os.environ["AWS_ENDPOINT_URL_S3"] = server.url
            boto3.client("s3").create_bucket(Bucket=BUCKET)
            times = measure_shards(folder) | measure_npz(folder)
            if shutil.which("aws"):
                times |= measure_aws(folder, server)
            else:
                print("`aws` is not installed: left out")
            times["dvc push / pull"] = measure_dvc(folder, server, "npz")
            times["dvc push / pull, shards"] = measure_dvc(folder, server, "shards")
    print(
        f"{options.films} films, {sizes['npz'] / 1e6:.0f} MB as NPZ, {sizes['shards'] / 1e6:.0f} MB as shards", end=""
    )
    print(f" (packed in {building:.1f} s)\n{'':26}{'up, s':>10}{'down, s':>10}")
    for name, (up, down) in times.items():
        print(f"{name:26}{up:10.1f}{down:10.1f}")
    for ours in ("shards", "publish_npz"):
        for place, direction in enumerate(("up", "down")):
            peers = {name: times[name][place] for name in ("aws s3 sync", "dvc push / pull") if name in times}
            best = min(peers, key=lambda name: peers[name])
            print(f"{ours} {direction}: {peers[best] / times[ours][place]:.2f} times the speed of the better, {best}")
    if options.rates:
        facts = json.loads(options.rates.read_text(encoding="utf-8"))
        facts["shard_bytes_per_second"] = {
            direction: sizes["shards"] / times["shards"][place] for place, direction in enumerate(("up", "down"))
        }
        options.rates.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
