"""Films per second of the lung segmenter, beside PyTorch and public segmenters of torchvision, in one run.

Every row takes films that lie in the 512 letterbox to probabilities of lung in the same frame: scaling to the network's
resolution and back is counted, decoding is not. Weights do not change a cost, so PyTorch's rows and the table of
resolutions have random ones.

    python -m benchmarks.segment --films 100 [--folder FOLDER of films, instead of synthetic ones]
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchvision.models import segmentation

from cxr.core.config import load_section
from cxr.films.letterbox import Image, Letterbox
from cxr.films.read import IMAGE_SUFFIXES, decode, read_source
from cxr.segment.config import SegmentSection
from cxr.segment.lungs import film_in_frame, lungs_in_frame
from cxr.segment.segmenter import LungSegmenter, Probability, load_segmenter, to_frame, to_input
from segmenter.config import ExportSection
from segmenter.export import TorchSegmenter, synthetic_frame, write_onnx
from segmenter.network import LungNet
from testing.workspace import ROOT

MODEL = ROOT / "models" / "lung_segmenter.onnx"
PEERS = ("lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large")
RESOLUTIONS = (128, 160, 192, 224, 256, 512)


def main() -> None:
    """Print the rates and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=100)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--cores", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.cores)
    shipped = load_segmenter(MODEL)
    frames = films_of(options.folder, options.films, shipped.frame_px)

    side_by_side = shared(shipped.probability, frames, options.cores)
    print(f"{options.films} films of {shipped.frame_px} px on {options.cores} cores; network at {shipped.inner_px} px")
    print(f"{'':<58}{'films/s':>9}{'ours is':>9}")
    report("ONNX Runtime, a film a core (as the segment stage)", side_by_side, side_by_side)
    settings = load_section("segment", SegmentSection, ROOT / "params.yaml")
    whole = Letterbox(shipped.frame_px, shipped.frame_px, shipped.frame_px)
    looks = Looks(shipped)
    scored = shared(lambda frame: lungs_in_frame(frame, whole, looks, settings), frames, options.cores)
    twice = looks.taken / (len(frames) + 4) - 1  # four warmed up
    report(f"the same with mask and score, {twice:.0%} of the films looked at twice", scored, side_by_side)
    together = load_segmenter(MODEL, threads=options.cores)
    report("ONNX Runtime, all cores on one film", rate(together.probability, frames), side_by_side)
    report("ONNX Runtime, all cores on a batch of 8", batched(together, frames, 8), side_by_side)
    network = TorchSegmenter(LungNet().eval(), shipped.frame_px, shipped.inner_px)
    report("PyTorch, the same network", rate(network.probability, frames), side_by_side)
    for name in PEERS:
        few = frames[: max(4, options.films // 10)]
        for px in (shipped.inner_px, shipped.frame_px):
            report(f"torchvision {name} at {px} px", rate(peer(name, px), few), side_by_side)

    print(f"\n{'network at, px':<20}{'films/s':>9}")
    for px in RESOLUTIONS:
        print(f"{px:<20}{shared(random_model(px, shipped).probability, frames, options.cores):>9.1f}")


def report(name: str, films_per_second: float, ours: float) -> None:
    """Print one row."""
    print(f"{name:<58}{films_per_second:>9.1f}{ours / films_per_second:>8.1f}x", flush=True)


def rate(work: Callable[[Image], Any], frames: Sequence[Image]) -> float:
    """Films per second; the first two warm up and are not counted."""
    for frame in frames[:2]:
        work(frame)
    started = time.perf_counter()
    for frame in frames:
        work(frame)
    return len(frames) / (time.perf_counter() - started)


def films_of(folder: Path | None, count: int, frame_px: int) -> list[Image]:
    """Films in the letterbox, spread evenly over a folder, or synthetic ones."""
    if folder is None:
        return [synthetic_frame(seed, frame_px) for seed in range(count)]
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    frames = []
    for place in np.linspace(0, len(paths) - 1, min(count, len(paths))):
        source = read_source(str(paths[int(place)]))
        size = decode(source).size
        frames.append(film_in_frame(source, size, Letterbox(*size, frame_px), grey=True))
    return frames


class Looks:
    """A segmenter that counts the films it is shown."""

    def __init__(self, segmenter: LungSegmenter) -> None:
        self.segmenter, self.frame_px, self.taken = segmenter, segmenter.frame_px, 0

    def probability(self, frame: Image) -> Probability:
        """As the segmenter's."""
        self.taken += 1
        return self.segmenter.probability(frame)


def shared(work: Callable[[Image], Any], frames: list[Image], workers: int) -> float:
    """Films per second of several workers with one thread each, as the processes of the segment stage."""
    rate(work, frames[:2])
    with ThreadPoolExecutor(workers) as pool:
        started = time.perf_counter()
        list(pool.map(work, frames))
        return len(frames) / (time.perf_counter() - started)


def batched(segmenter: LungSegmenter, frames: list[Image], batch: int) -> float:
    """Films per second when several films go through the network at once."""
    started = time.perf_counter()
    for start in range(0, len(frames), batch):
        inputs = [to_input(frame, segmenter.inner_px) for frame in frames[start : start + batch]]
        (inner,) = segmenter.session.run(None, {"rgb": np.stack(inputs)})
        for one in inner:
            to_frame(one[0], segmenter.frame_px)
    return len(frames) / (time.perf_counter() - started)


def peer(name: str, px: int) -> Callable[[Image], Any]:
    """A torchvision segmenter with random weights and one class."""
    network = getattr(segmentation, name)(weights=None, weights_backbone=None, num_classes=1).eval()

    @torch.inference_mode()
    def work(frame: Image) -> Any:
        return torch.sigmoid(network(torch.from_numpy(to_input(frame, px)[None]))["out"])

    return work


def random_model(px: int, like: LungSegmenter) -> LungSegmenter:
    """The network at another resolution, random weights."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.onnx"
        write_onnx(LungNet().eval(), path, like.frame_px, px, ExportSection(opset=18, version="random"))
        return load_segmenter(path)


if __name__ == "__main__":
    main()
