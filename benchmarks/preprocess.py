"""Films per second of ingest, segment and preprocess on one core, beside the same work in torchvision and MONAI.

Ours is the stage itself with one worker and an empty cache; the peer is a plain loop with one thread that decodes each
JPEG from disk, computes the same, and writes the result, as those libraries' documentation shows. The peer does less:
it looks for no likely duplicates, scores no mask and keeps no cache. The
limit of ingest is to decode and to hash. Rates of one core are films per second of processor time, so that other work
on the machine disturbs them little.

    python -m benchmarks.preprocess --films 200
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.large_cohort import HEIGHT, WIDTH, data_section, write_large_cohort
from cxr.core.config import load_section
from cxr.films.manifest import read_manifest
from cxr.ingest.ingest import ingest
from cxr.npz.pack import build_shards
from cxr.preprocess.build import build_npz_set
from cxr.preprocess.config import PreprocessSection
from cxr.runtime.compute import Compute, load_compute
from cxr.runtime.console import setup_logging
from cxr.segment.config import SegmentSection
from cxr.segment.segment import segment_cohort
from testing.workspace import ROOT

STAGES = ("ingest", "segment", "preprocess")


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=200)
    parser.add_argument("--width", type=int, default=WIDTH, help="pixels")
    parser.add_argument("--height", type=int, default=HEIGHT, help="pixels")
    parser.add_argument("--rates", type=Path, help="write the rates to this JSON file, for benchmarks.scale")
    options = parser.parse_args()
    setup_logging()
    compute = load_compute()
    rates_file = options.rates.resolve() if options.rates else None
    with tempfile.TemporaryDirectory(prefix="preprocess-") as name:
        os.chdir(name)
        write_large_cohort(Path("films"), options.films, options.width, options.height)
        one = our_rates(Path("one"), compute.model_copy(update={"workers": 1}), options.films, time.process_time)
        every = our_rates(Path("all"), compute, options.films, time.perf_counter)
        from benchmarks import peers  # imports torch, which would slow the workers' start above

        films = sorted(Path("films").rglob("*.jpg"))
        peer = {stage: rate(getattr(peers, stage), films) for stage in STAGES}
        validation = [
            Path(record.path) for record in read_manifest(Path("data/manifest.csv"))[0] if record.split == "val"
        ]
        seconds = len(films) / peer["preprocess"] + sum(
            len(validation) / rate(copy, validation)
            for copy in (peers.corrupted, lambda film: peers.swapped(film, films[0]))
        )
        peer["preprocess"] = len(films) / seconds
        limit = rate(peers.decode_and_hash, films)
        cores = compute.n_workers
        print(f"{options.films} films of {options.width}x{options.height}, films per second")
        print(f"{'stage':<12}{'1 core':>10}{'peer, 1 core':>15}{'ratio':>8}{f'{cores} cores':>12}{'speed-up':>10}")
        for stage in STAGES:
            ratio, gain = one[stage] / peer[stage], every[stage] / one[stage]
            print(f"{stage:<12}{one[stage]:>10.1f}{peer[stage]:>15.1f}{ratio:>8.1f}{every[stage]:>12.1f}{gain:>10.2f}")
        print(f"{'decode, hash':<12}{'':>10}{limit:>15.1f}{one['ingest'] / limit:>8.1f}")
        print(f"{'shard':<12}{one['shard']:>10.1f}{'':>23}{every['shard']:>12.1f}")
        if rates_file:
            rates_file.write_text(json.dumps(facts(one, options.films), indent=2) + "\n", encoding="utf-8")


def our_rates(cache: Path, compute: Compute, films: int, clock: Callable[[], float]) -> dict[str, float]:
    """Films per second of each stage by a clock, from an empty per-film cache."""
    os.environ["DVC_ROOT"] = str(cache)
    params, out = ROOT / "params.yaml", Path("data")
    segment, preprocess = (
        load_section("segment", SegmentSection, params),
        load_section("preprocess", PreprocessSection, params),
    )
    model = ROOT / "models" / "lung_segmenter.onnx"
    manifest, masks, table = out / "manifest.csv", out / "masks", out / "masks.csv"
    steps: dict[str, Callable[[], object]] = {
        "ingest": lambda: ingest(data_section(Path("films")), compute, out),
        "segment": lambda: segment_cohort(manifest, model, masks, table, segment, compute),
        "preprocess": lambda: build_npz_set(manifest, masks, out / "npz", preprocess, compute),
        "shard": lambda: build_shards(out / "npz", out / "shards"),
    }
    rates = {}
    for stage, step in steps.items():
        started = clock()
        step()
        rates[stage] = films / (clock() - started)
    return rates


def rate(work: Callable[[Path], None], films: list[Path]) -> float:
    """Films per second of processor time of a peer; the first film warms it up and is not counted."""
    work(films[0])
    started = time.process_time()
    for film in films:
        work(film)
    return len(films) / (time.process_time() - started)


def facts(one_core: dict[str, float], films: int) -> dict[str, object]:
    """Input of benchmarks.scale: rates on one core and bytes per film."""
    folders = {"films": "films", "masks": "data/masks", "npz": "data/npz", "shards": "data/shards", "cache": "one"}
    sizes = {
        name: sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()) / films
        for name, folder in folders.items()
    }
    return {"films_per_second_per_core": one_core, "bytes_per_film": sizes}


if __name__ == "__main__":
    main()
