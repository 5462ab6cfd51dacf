"""One film end to end, and a folder of them: decode, lungs, prepare, classify, on the CPU without torch.

    python -m benchmarks.predict --bundle models/chest_xray
    python -m benchmarks.predict --bundle models/chest_xray --peer

The films are synthetic (demo/), JPEG of 1500x1200 pixels. `--peer` runs the lung segmenter and the classifier
of torchxrayvision (pip install torchxrayvision) on the same films in the same run. Its trained weights come from the
internet; where they are not at hand random ones stand in, which cost the same and answer nothing.
"""

import argparse
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cxr.core.errors import CxrError
from cxr.films.letterbox import Image
from cxr.films.read import decode, read_source
from cxr.predict.batch import outcomes
from cxr.predict.inputs import find_films
from cxr.predict.predictor import Predictor
from cxr.report.tables import markdown
from demo.anatomy import sample_anatomy, sample_pose
from demo.film import draw_film, sample_exposure

WIDTH, HEIGHT = 1500, 1200


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.predict", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--films", type=int, default=64, help="in the folder")
    parser.add_argument("--runs", type=int, default=200, help="of one film")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--peer", action="store_true")
    options = parser.parse_args()
    logging.disable(logging.INFO)
    cv2.setNumThreads(1)
    predictor = Predictor.load(options.bundle)
    with tempfile.TemporaryDirectory() as folder:
        films = write_films(Path(folder), options.films)
        named = find_films([folder])
        content = films[0].read_bytes()
        latency = milliseconds(lambda: predictor(content), options.runs)
        rows = [["one film, this repository", *map(_ms, latency)]]
        started, worked = time.perf_counter(), time.process_time()
        answers = list(outcomes(predictor, named, options.workers))
        rate = len(answers) / (time.perf_counter() - started)
        busy = len(answers) / (time.process_time() - worked)
        if options.peer:
            peer = milliseconds(torchxrayvision(films[0]), 3)
            rows += [
                ["one film, torchxrayvision", *map(_ms, peer)],
                ["ratio", f"{peer[0] / latency[0]:.0f}", "", f"{peer[2] / latency[2]:.0f}"],
            ]
    print(markdown(["", "p50", "p95", "processor time, p50"], rows))
    print(
        f"\na folder of {len(films)} films with {options.workers} threads: {rate:.1f} films/s; "
        f"{busy:.1f} films for each second of one core"
    )


def write_films(folder: Path, count: int) -> list[Path]:
    """JPEG films of WIDTH x HEIGHT; a few pictures under many names."""
    pictures, films = [picture(seed) for seed in range(min(count, 8))], []
    for index in range(count):
        films.append(folder / f"film{index:03d}.jpg")
        cv2.imwrite(str(films[-1]), pictures[index % len(pictures)], [cv2.IMWRITE_JPEG_QUALITY, 92])
    return films


def picture(seed: int) -> Image:
    """One synthetic film, grey (HEIGHT, WIDTH)."""
    rng = np.random.default_rng(seed)
    anatomy = sample_anatomy(rng)
    film, _ = draw_film(anatomy, sample_pose(anatomy, rng), sample_exposure(rng), None, rng)
    return np.asarray(cv2.resize(np.rint(film * 255).astype(np.uint8), (WIDTH, HEIGHT)), np.uint8)


def milliseconds(work: Callable[[], Any], runs: int) -> tuple[float, float, float]:
    """Of some runs, after one that does not count: median and 95th percentile, and the median of the processor time.

    The last counts all threads and no waiting, so it also holds on a machine that others use.
    """
    work()
    times, busy = [], []
    for _ in range(runs):
        started, worked = time.perf_counter(), time.process_time()
        work()
        times.append(1000 * (time.perf_counter() - started))
        busy.append(1000 * (time.process_time() - worked))
    return statistics.median(times), float(np.quantile(times, 0.95)), statistics.median(busy)


def torchxrayvision(film: Path) -> Callable[[], Any]:
    """Its lung segmenter (PSPNet, 512 px) and its classifier (DenseNet-121, 224 px) on one film.

    Raises:
        CxrError: the package is not installed.
    """
    try:
        import torch
        import torchxrayvision as xrv
        from torchxrayvision.baseline_models.chestx_det.ptsemseg.pspnet import pspnet
    except ImportError as error:
        raise CxrError(f"--peer: {error}; pip install torchxrayvision beside requirements.txt") from error
    torch.set_num_threads(os.cpu_count() or 1)
    segmenter, classifier = pspnet(14).eval(), xrv.models.DenseNet(weights=None, num_classes=18).eval()

    def answer() -> Any:
        grey = xrv.datasets.normalize(decode(read_source(str(film))).grey, 255)
        grey = xrv.datasets.XRayCenterCrop()(grey[None])
        large, small = (
            torch.from_numpy(xrv.datasets.XRayResizer(side, engine="cv2")(grey)[None]) for side in (512, 224)
        )
        with torch.inference_mode():
            return segmenter(large.repeat(1, 3, 1, 1).float()), classifier(small.float())

    return answer


def _ms(value: float) -> str:
    return f"{value:.1f} ms"


if __name__ == "__main__":
    main()
