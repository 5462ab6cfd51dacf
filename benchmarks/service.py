"""The service under load: many clients at once, the real process, real bundle, films of real size.

    python -m benchmarks.service --bundle models/chest_xray
    python -m benchmarks.service --bundle models/chest_xray --replace

Films are synthetic JPEG of 1500x1200 pixels (demo/), or those of `--films FOLDER`. Each answer is compared with what
the predictor says of that film in this process. With `--replace` another bundle takes the place of the first under
load, the worker is killed, and the first bundle comes back. Ends with code 1 where a film is lost, a 503 names no time,
another code comes, or an answer is not that of the bundle that it names.
"""

import argparse
import dataclasses
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import gevent
import numpy as np
import onnx
import psutil

from benchmarks.predict import write_films
from benchmarks.served import START, serving, worker
from benchmarks.service_clients import Tally, run_clients
from cxr.bundle.config import read_config, write_config
from cxr.bundle.files import CLASSIFIER, CONFIG, write_sums
from cxr.bundle.network import LOGITS
from cxr.predict.inputs import find_films
from cxr.predict.predictor import Predictor
from cxr.report.tables import markdown

FILMS = 64  # of a folder, so that they fit into memory with their answers


def main() -> None:
    """Print what was sent and what came back."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.service", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--films", type=Path, help="folder of films (default: synthetic ones)")
    parser.add_argument("--queue", type=int, help="films waiting before a 503 (default: that of the service)")
    parser.add_argument("--replace", action="store_true", help="replace the bundle and kill the worker meanwhile")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        first, second = root / "first", root / "second"
        shutil.copytree(options.bundle, first)
        other_bundle(first, second)
        named = find_films([str(options.films or synthetic(root / "films"))])[:FILMS]
        films = {film.address: film.read().content for film in named}
        known = dict(probabilities(bundle, films) for bundle in (first, second))
        tally = Tally(options.requests, films, known)
        served = root / "bundle"
        served.symlink_to(first)
        with serving(served, *(["--queue", str(options.queue)] if options.queue else [])) as (url, service):
            memory: list[float] = []
            gevent.spawn(watch, lambda: memory.append(megabytes(service)))
            tally.disturbed = options.replace
            meanwhile = [gevent.spawn(disturb, tally, service, served, first, second)] if options.replace else []
            seconds = run_clients(url, options.clients, tally)
            gevent.joinall(meanwhile, raise_error=True)
    print(report(tally, options.clients, seconds, memory))
    sys.exit(int(bool(tally.faults)))


def synthetic(folder: Path) -> Path:
    """A folder of films of real size."""
    folder.mkdir()
    write_films(folder, 8)
    return folder


def other_bundle(first: Path, second: Path) -> None:
    """Another classifier and other settings: of each half of the two bundles, a film gets another probability."""
    shutil.copytree(first, second)
    config = read_config(second / CONFIG)
    point = dataclasses.replace(config.operating_point, temperature=2 * config.operating_point.temperature)
    write_config(second / CONFIG, config.model_copy(update={"operating_point": point}))
    model = onnx.load(second / CLASSIFIER)
    last = next(node for node in model.graph.node if LOGITS in node.output)
    last.output[list(last.output).index(LOGITS)] = "before"
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32([0.5]), "shift"))
    model.graph.node.append(onnx.helper.make_node("Add", ["before", "shift"], [LOGITS]))
    onnx.save(model, second / CLASSIFIER)
    write_sums(second)


def probabilities(bundle: Path, films: dict[str, bytes]) -> tuple[str, dict[str, float]]:
    """The hash of a bundle, and its probability of each film."""
    predictor = Predictor.load(bundle)
    return predictor.version, {name: predictor(content, name).probability for name, content in films.items()}


def disturb(tally: Tally, service: psutil.Process, served: Path, first: Path, second: Path) -> None:
    """Replace the bundle after a fifth of the requests, kill the worker after two, and go back after three."""
    one, other = tally.known
    try:
        until(lambda: tally.sent > 0.2 * tally.requests, "a fifth of the requests")
        replace(served, second, service)
        until(lambda: tally.bundles[other] > 0, "an answer of the second bundle")
        until(lambda: tally.sent > 0.4 * tally.requests, "two fifths of the requests")
        killed = worker(service)
        killed.kill()
        until(lambda: worker(service) != killed, "another worker")
        answers = tally.bundles[other]
        until(lambda: tally.bundles[other] > answers, "an answer after the worker was killed")
        until(lambda: tally.sent > 0.6 * tally.requests, "three fifths of the requests")
        answers = tally.bundles[one]
        replace(served, first, service)
        until(lambda: tally.bundles[one] > answers, "an answer of the first bundle, which came back")
    finally:
        tally.disturbed = False


def until(reached: Callable[[], bool], what: str) -> None:
    """Let the clients work until something is so; TimeoutError where it never is."""
    limit = time.monotonic() + START
    while not reached():
        if time.monotonic() > limit:
            raise TimeoutError(f"waited {START} s for {what}")
        gevent.sleep(0.05)


def replace(served: Path, bundle: Path, service: psutil.Process) -> None:
    """Let the link to the served bundle point to another one, in one step, and say so."""
    link = served.with_name("next")
    link.symlink_to(bundle)
    os.replace(link, served)
    service.send_signal(signal.SIGHUP)


def watch(look: Callable[[], None]) -> None:
    """Look twice a second."""
    while True:
        look()
        gevent.sleep(0.5)


def megabytes(service: psutil.Process) -> float:
    """Memory of the service with all of its processes, shared pages shared out; 0 where one has just ended."""
    try:
        return sum(one.memory_full_info().pss for one in (service, *service.children(recursive=True))) / 1e6
    except psutil.Error:
        return 0.0


def report(tally: Tally, clients: int, seconds: float, memory: list[float]) -> str:
    """What the run showed, as a table."""
    seen = [value for value in memory if value]
    start, middle, end = (float(np.median(part)) for part in np.array_split(seen[len(seen) // 10 :], 3))
    median, late = np.quantile(tally.seconds, (0.5, 0.95)) if tally.seconds else (0, 0)
    other = {code: count for code, count in tally.codes.items() if code not in (0, 200, 503)}
    rows = [
        ["clients", str(clients)],
        ["requests sent", str(tally.sent)],
        ["answered 200", str(tally.codes[200])],
        ["answered 503 with Retry-After", str(tally.codes[503] - tally.unclean)],
        ["answered 503 without", str(tally.unclean)],
        ["any other code", ", ".join(f"{count} x {code}" for code, count in other.items()) or "0"],
        ["connections broken, asked again", str(tally.codes[0])],
        ["films asked about / answered / lost", f"{tally.begun} / {tally.answered} / {tally.begun - tally.answered}"],
        ["answers by bundle", ", ".join(f"{count} of {name[:8]}" for name, count in tally.bundles.items())],
        ["answers that are not their bundle's", str(tally.wrong)],
        ["time of a 200, p50 / p95", f"{median:.2f} s / {late:.2f} s"],
        ["films/s", f"{tally.answered / seconds:.1f}"],
        ["memory: first, second, last third (median)", f"{start:.0f} / {middle:.0f} / {end:.0f} MB"],
        ["memory: most", f"{max(seen):.0f} MB"],
        ["memory: growth from first to last third", f"{end / start - 1:+.1%}"],
    ]
    return markdown(["", "of this run"], rows)


if __name__ == "__main__":
    main()
