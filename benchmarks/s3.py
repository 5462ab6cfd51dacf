"""5,000 NPZ files to S3 and back: ours beside `aws s3 sync` and `dvc push` of the same files, in one run.

`python -m benchmarks.s3 [--files 5000] [--kilobytes 60]` starts a SeaweedFS of its own on loopback ports. Each transfer
goes to an empty prefix. `aws` is left out, and said to be, where the command is missing.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import boto3
import numpy as np
import pandas as pd

from cxr.launch.npz_channels import fetch_channels, plan_channels, publish_channels
from cxr.launch.store import Store
from tests.launch.seaweed import ACCESS_KEY, SECRET_KEY, SeaweedFS

BUCKET = "benchmark"


def write_set(folder: Path, files: int, kilobytes: int) -> None:
    """Files of random bytes under the names and the index of an NPZ set; nothing here looks inside them."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(files):
        split = ("train", "train", "train", "val", "test")[number % 5]
        file = f"{split}/film{number:05d}.npz"
        (folder / split).mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(rng.bytes(kilobytes * 1000))
        rows.append({"file": file, "image_id": f"film{number:05d}", "patient_id": f"P{number}", "split": split})
    table = pd.DataFrame(rows).assign(label="normal", classes="normal|pneumonia", film_hash="0")
    table.to_csv(folder / "index.csv", index=False)


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def run(*command: str, cwd: Path | None = None) -> None:
    """A command that must succeed."""
    subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.DEVNULL)


def measure(folder: Path, server: SeaweedFS) -> dict[str, tuple[float, float]]:
    """Name -> seconds up and down."""
    films, times = folder / "npz", {}
    store = Store(f"s3://{BUCKET}/npz")
    channels = plan_channels(films)

    def publish() -> None:
        publish_channels(plan_channels(films), store)  # the hashing is part of it

    below = Store(store.below(channels.data_md5))
    times["publish_npz"] = seconds(publish), seconds(lambda: fetch_channels(below, folder / "ours"))
    assert plan_channels(folder / "ours").data_md5 == channels.data_md5
    times["publish_npz again"] = seconds(publish), float("nan")
    if shutil.which("aws"):
        aws = ("aws", "s3", "sync", "--only-show-errors", "--endpoint-url", server.url)
        address = f"s3://{BUCKET}/aws/"
        up = seconds(lambda: run(*aws, str(films), address))
        times["aws s3 sync"] = up, seconds(lambda: run(*aws, address, str(folder / "aws")))
    else:
        print("`aws` is not installed: left out")
    project, dvc = folder / "project", (sys.executable, "-m", "dvc")
    project.mkdir()
    shutil.copytree(films, project / "npz")
    for command in (
        ("init", "-q", "--no-scm"),
        ("remote", "add", "-d", "s", f"s3://{BUCKET}/dvc"),
        ("remote", "modify", "s", "endpointurl", server.url),
        ("add", "-q", "npz"),
    ):
        run(*dvc, *command, cwd=project)
    up = seconds(lambda: run(*dvc, "push", "-q", cwd=project))
    shutil.rmtree(project / ".dvc" / "cache")
    shutil.rmtree(project / "npz")
    times["dvc push / pull"] = up, seconds(lambda: run(*dvc, "pull", "-q", cwd=project))
    return times


def main() -> None:
    """Print seconds and ratios."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.s3", description=__doc__)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--kilobytes", type=int, default=60, help="size of a file; an NPZ film at 224 px has about 60")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "server").mkdir()
        server = SeaweedFS(folder / "server")
        os.environ |= {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
        os.environ |= {"AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "eu-central-1"}
        write_set(folder / "npz", options.files, options.kilobytes)
        with server.running():
            os.environ["AWS_ENDPOINT_URL_S3"] = server.url
            boto3.client("s3").create_bucket(Bucket=BUCKET)
            times = measure(folder, server)
    print(f"{options.files} files of {options.kilobytes} kB\n{'':20}{'up, s':>10}{'down, s':>10}")
    for name, (up, down) in times.items():
        print(f"{name:20}{up:10.1f}{down:10.1f}")
    ours = times.pop("publish_npz")
    times.pop("publish_npz again")
    for place, direction in enumerate(("up", "down")):
        name, best = min(((name, pair[place]) for name, pair in times.items()), key=lambda pair: pair[1])
        print(f"{direction}: {best / ours[place]:.2f} times as fast as the better peer ({name})")


if __name__ == "__main__":
    main()
