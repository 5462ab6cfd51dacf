"""Near duplicates: how many planted ones ingest finds, and how many false alarms it raises.

    python -m benchmarks.leakage --films data/raw/chest_xray/train
    python -m benchmarks.leakage --synthetic 10000 30000

Films are split by patient. False alarms: pairs reported between films as they are. Found: copies of `--planted`
training films, each with one change, are added to test and searched. With `--synthetic` it prints instead how processor
time and memory of the search grow with the number of films.
"""

import argparse
import re
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from cxr.core.files import digest
from cxr.films.letterbox import Image
from cxr.films.manifest import Record
from cxr.films.read import IMAGE_SUFFIXES, read_film
from cxr.ingest.film import SIDE, thumbnail
from cxr.ingest.near_duplicates import near_duplicates
from cxr.report.tables import markdown

TEST = 20  # of a hundred patients
Change = Callable[[Image, np.random.Generator], Image]


def cropped(share: float) -> Change:
    """Cuts up to a share off each side."""

    def change(film: Image, random: np.random.Generator) -> Image:
        height, width = film.shape
        top, bottom, left, right = (random.uniform(0, share, 4) * (height, height, width, width)).astype(int)
        return film[top : height - bottom, left : width - right]

    return change


def relit(film: Image, random: np.random.Generator) -> Image:
    """Another gamma, contrast and brightness, clipped."""
    level = (film / 255.0) ** np.exp2(random.uniform(-0.7, 0.7))
    level = (level - 0.5) * random.uniform(0.6, 1.4) + 0.5 + random.uniform(-0.15, 0.15)
    return np.asarray(np.clip(level, 0, 1) * 255, np.uint8)


def stored_again(film: Image, _: np.random.Generator) -> Image:
    """JPEG of quality 40."""
    encoded = cv2.imencode(".jpg", film, [cv2.IMWRITE_JPEG_QUALITY, 40])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE), np.uint8)


CHANGES: dict[str, Change] = {
    "none (exact)": lambda film, _: film,
    "stored again as JPEG of quality 40": stored_again,
    "half the size": lambda film, _: np.asarray(cv2.resize(film, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)),
    "cropped by up to 5 % a side": cropped(0.05),
    "cropped by up to 10 % a side": cropped(0.10),
    "mirrored": lambda film, _: np.asarray(cv2.flip(film, 1)),
    "relit": relit,
    "mirrored, relit, cropped by up to 5 % a side": lambda film, random: relit(
        cropped(0.05)(np.asarray(cv2.flip(film, 1)), random), random
    ),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leakage", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--films", type=Path, help="folder of films")
    what.add_argument("--synthetic", type=int, nargs="+", help="numbers of films that are made up, the smallest first")
    parser.add_argument("--pattern", default=r"person\d+|NORMAL2-IM-\d+|IM-\d+", help="finds the patient in a path")
    parser.add_argument("--planted", type=int, default=100, help="films planted with each change")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if options.synthetic:
        head = ["films", "pairs", "s of processor", "MB of the process"]
        print(markdown(head, list(_growth(options.synthetic, options.threads))))
        return
    paths = sorted(path for path in options.films.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    records = [_record(path, options.pattern) for path in paths]
    thumbnails = [thumbnail(read_film(record.path).grey) for record in records]
    started = time.perf_counter()
    alarms = near_duplicates(records, thumbnails, options.threads)
    seconds = time.perf_counter() - started
    tests = sum(record.split == "test" for record in records)
    training = [index for index, record in enumerate(records) if record.split == "train"]
    random = np.random.default_rng(13)
    chosen = random.choice(training, min(options.planted, len(training)), replace=False)
    planted, copies = [], []
    for name, change in CHANGES.items():
        for index in chosen:
            planted.append(_planted(records[index], name))
            copies.append(thumbnail(change(read_film(records[index].path).grey, random)))
    cohort, thumbs = [records[index] for index in training], [thumbnails[index] for index in training]
    pairs = near_duplicates([*cohort, *planted], [*thumbs, *copies], options.threads)
    found = Counter(pair.one.label for pair in pairs if pair.one.path.endswith(f" {pair.other.path}"))
    rows = [[name, str(len(chosen)), f"{found[name] / len(chosen):.2f}"] for name in CHANGES]
    print(markdown(["change", "planted", "found"], rows))
    print(
        f"\nFalse alarms or true unknown duplicates: {len(alarms)} pairs among {len(records)} films, {tests} in test."
    )
    print(f"Search: {seconds:.0f} s, {options.threads} threads.")
    for pair in alarms[:10]:
        print(f"{pair.distance:.3f} {pair.one.path} {pair.other.path}")


def _growth(numbers: list[int], threads: int) -> Iterator[list[str]]:
    """One row per number of films, 64 % of them in train, 16 % in val and 20 % in test.

    All films differ, so this measures the search without the alignments (at most two per held-out film).
    """
    for number in numbers:
        records = [_synthetic(index) for index in range(number)]
        random = np.random.default_rng(number)
        coarse = random.integers(0, 256, (number, 12, 12), np.uint8)
        thumbnails = [np.asarray(cv2.resize(one, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)) for one in coarse]
        started = time.process_time()
        near_duplicates(records, thumbnails, threads)
        seconds = time.process_time() - started
        split = Counter(record.split for record in records)
        pairs = split["test"] * (split["train"] + split["val"]) + split["val"] * split["train"]
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        yield [f"{number:,}", f"{pairs / 1e6:,.0f} million", f"{seconds:,.0f}", f"{most:,.0f}"]


def _synthetic(index: int) -> Record:
    split = "test" if index % 25 < 5 else "val" if index % 25 < 9 else "train"
    return Record(f"{index}", f"{index}.png", "", f"{index}", split, 0, 0, 8, "", "", "")


def _record(path: Path, pattern: str) -> Record:
    match = re.search(pattern, path.as_posix())
    patient = match[0] if match else path.stem
    split = "test" if int(digest(patient.encode())[:8], 16) % 100 < TEST else "train"
    return Record(path.stem, path.as_posix(), "", patient, split, 0, 0, 8, "", "", "")


def _planted(record: Record, change: str) -> Record:
    return Record(f"{change} {record.image_id}", f"{change} {record.path}", change, "", "test", 0, 0, 8, "", "", "")


if __name__ == "__main__":
    main()
