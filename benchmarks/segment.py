"""Cost of the lung segmenter, beside its floating-point version, PyTorch and public segmenters of torchvision.

Every row takes films that lie in the 512 letterbox to probabilities of lung in the same frame: scaling to the network's
resolution and back is counted, decoding is not. Weights do not change a cost, so PyTorch's rows and the table of
resolutions have random ones.

    python -m benchmarks.segment --films 100 [--folder FOLDER of films, instead of synthetic ones]

The first table is processor time per film, of films that take turns. Its floating-point file is that of the bundle
models/chest_xray, which resizes whole films; bundles are made from reduced films since.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torchvision.models import segmentation

from benchmarks.predict import write_films
from cxr.bundle.config import InferenceConfig
from cxr.core.config import load_section
from cxr.films.film import reduced
from cxr.films.letterbox import Image, Letterbox
from cxr.films.read import IMAGE_SUFFIXES, decode, read_source
from cxr.predict.predictor import Predictor
from cxr.report.tables import markdown
from cxr.segment.config import SegmentSection
from cxr.segment.film import segment_film
from cxr.segment.lungs import film_in_frame, lungs_in_frame
from cxr.segment.quality import scale_agreement
from cxr.segment.segmenter import LungSegmenter, Probability, load_segmenter, to_frame, to_input
from segmenter.config import ExportSection
from segmenter.export import TorchSegmenter, synthetic_frame, write_onnx
from segmenter.network import LungNet
from testing.workspace import ROOT

MODEL = ROOT / "models" / "lung_segmenter.onnx"
FLOAT = ROOT / "models" / "chest_xray" / "lung_segmenter.onnx"
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
    beside_float(shipped, options.folder, options.films)
    frames = films_of(options.folder, options.films, shipped.frame_px)

    side_by_side = shared(shipped.probability, frames, options.cores)
    print(
        f"\n{options.films} films of {shipped.frame_px} px on {options.cores} cores; network at {shipped.inner_px} px"
    )
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


def beside_float(shipped: LungSegmenter, folder: Path | None, count: int) -> None:
    """Print the processor time per film of the shipped file and of the floating-point one."""
    settings = load_section("segment", SegmentSection, ROOT / "params.yaml")
    real, earlier, now = load_segmenter(FLOAT), Predictor.load(FLOAT.parent), Predictor.load(FLOAT.parent)
    now.config, now.segmenter = with_reduced_films(now.config), shipped
    with tempfile.TemporaryDirectory() as drawn:
        paths = some_of(folder, count) if folder else write_films(Path(drawn), count)
        sources = [read_source(str(path)) for path in paths]
    films = [reduced(decode(source)) for source in sources]
    frames = [film_in_frame(film, Letterbox(*film.size, shipped.frame_px), grey=True) for film in films]
    inputs = [to_input(frame, shipped.inner_px)[None] for frame in frames]

    def network(session: Any) -> Callable[[int], Any]:
        return lambda at: session.run(None, {"rgb": inputs[at]})

    def agreement(segmenter: LungSegmenter) -> Callable[[int], Any]:
        place = Letterbox(shipped.frame_px, shipped.frame_px, shipped.frame_px)
        return lambda at: scale_agreement(frames[at], frames[at], place, segmenter, settings.threshold)

    def stage(segmenter: LungSegmenter) -> Callable[[int], Any]:
        return lambda at: segment_film(sources[at], None, segmenter, settings)

    def prediction(predictor: Predictor) -> Callable[[int], Any]:
        return lambda at: predictor(sources[at].content)

    fast = onnxruntime.SessionOptions()
    fast.intra_op_num_threads, fast.log_severity_level = 1, 3
    rows = (
        ("network", network(real.session), network(shipped.session), 1 / 2.5),
        ("network, float with all optimisations",
         network(onnxruntime.InferenceSession(FLOAT.read_bytes(), fast, providers=["CPUExecutionProvider"])),
         network(shipped.session), None),
        ("scale agreement", agreement(real), agreement(shipped), None),
        ("segment stage", stage(real), stage(shipped), 1 / 1.6),
        ("prediction of one film, reduced beside whole", prediction(earlier), prediction(now), 0.65),
    )  # fmt: skip
    found = []
    for name, theirs, ours, target in rows:
        float_ms, integer_ms = turns((theirs, ours), len(frames))
        met = "" if target is None else "yes" if integer_ms <= target * float_ms else "no"
        share = f"{integer_ms / float_ms:.2f}"
        found.append([name, f"{float_ms:.1f}", f"{integer_ms:.1f}", share, f"{target:.3g}" if target else "", met])
    print(markdown(["processor ms per film", "float", "integers", "share", "at most", "met"], found), flush=True)


def with_reduced_films(config: InferenceConfig) -> InferenceConfig:
    """The settings of a bundle as if it were made now, from reduced films."""
    facts = config.model_dump()
    for step in facts["preparation"].values():
        step["resizing"] = "reduced"
    return InferenceConfig.model_validate(facts)


def turns(works: Sequence[Callable[[int], Any]], count: int) -> list[float]:
    """Mean processor time per film in milliseconds of some works that take turns; the first round is not counted."""
    spent: list[list[float]] = [[] for _ in works]
    for at in (0, *range(count)):
        for work, times in zip(works, spent, strict=True):
            started = time.process_time()
            work(at)
            times.append(1000 * (time.process_time() - started))
    return [statistics.mean(times[1:]) for times in spent]


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
    frames = []
    for path in some_of(folder, count):
        film = reduced(decode(read_source(str(path))))
        frames.append(film_in_frame(film, Letterbox(*film.size, frame_px), grey=True))
    return frames


def some_of(folder: Path, count: int) -> list[Path]:
    """Films spread evenly over a folder."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    return [paths[int(place)] for place in np.linspace(0, len(paths) - 1, min(count, len(paths)))]


class Looks:
    """A segmenter that counts the films it is shown."""

    def __init__(self, segmenter: LungSegmenter) -> None:
        self.segmenter, self.frame_px, self.taken = segmenter, segmenter.frame_px, 0
        self.quality = segmenter.quality

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
