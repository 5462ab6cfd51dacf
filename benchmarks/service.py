"""The service under load: many clients at once, the real process, real bundle, films of real size.

    python -m benchmarks.service --bundle models/chest_xray
    python -m benchmarks.service --bundle models/chest_xray --replace

Films are synthetic JPEG of 1500x1200 pixels (demo/), or those of `--films FOLDER`. Each prediction is compared with
that of the predictor in this process. With `--replace` the bundle is replaced under load, the worker is killed, and the
first bundle is restored. Ends with code 1 if a film is lost, a 503 lacks Retry-After, another status is returned, or a
prediction differs from that of the bundle in the response.

The clients run under Locust. Each sends one film after another and counts the responses. After a 503 a client waits for
Retry-After and sends the film again; after a broken connection it sends the film again at once. A film without any
response is lost.
"""

import argparse
import dataclasses
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent
import numpy as np
import onnx
import psutil
from locust import FastHttpUser
from locust.env import Environment
from locust.exception import StopUser

from benchmarks.predict import write_films
from cxr.bundle.config import read_config, write_config
from cxr.bundle.files import CLASSIFIER, CONFIG, write_sums
from cxr.bundle.network import LOGITS
from cxr.predict.inputs import find_films
from cxr.predict.predictor import Predictor
from cxr.report.tables import markdown
from testing.service import START, serving, worker

Known = dict[str, dict[str, float]]  # probability of each film, by bundle
PATIENCE = 300.0  # seconds after which a film without a response is lost
CLOSE = 2e-6  # answers have six decimals
FILMS = 64  # of a folder, so that they fit into memory with their answers


@dataclass
class Tally:
    """Counts of requests and responses."""

    requests: int  # to send, before no further film is begun
    films: dict[str, bytes]
    known: Known
    codes: Counter[int] = field(default_factory=Counter)  # of answers; 0 is a broken connection
    bundles: Counter[str] = field(default_factory=Counter)  # that answered
    seconds: list[float] = field(default_factory=list)  # of requests that were answered with 200
    begun: int = 0  # films
    answered: int = 0
    unclean: int = 0  # 503 without Retry-After
    wrong: int = 0  # a bundle that is not known, or a probability that is not that bundle's
    sent: int = 0
    disturbed: bool = False  # something is still to be done to the service: clients keep asking

    def next_film(self) -> tuple[str, bytes]:
        """The film to ask about; StopUser when enough was sent."""
        if self.sent >= self.requests and not self.disturbed:
            raise StopUser
        name = list(self.films)[self.begun % len(self.films)]
        self.begun += 1
        return name, self.films[name]

    def take(self, film: str, facts: dict[str, Any]) -> None:
        """Compare a response with the prediction of its bundle."""
        self.answered += 1
        bundle = str(facts["bundle"])
        self.bundles[bundle] += 1
        expected = self.known.get(bundle, {}).get(film, np.nan)
        self.wrong += not abs(facts["probability"] - expected) < CLOSE

    @property
    def faults(self) -> int:
        """Violations of the requirements."""
        other = sum(count for code, count in self.codes.items() if code not in (0, 200, 503))
        return self.begun - self.answered + self.unclean + self.wrong + other


def main() -> None:
    """Print the counts of requests and responses."""
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


def run_clients(host: str, clients: int, tally: Tally) -> float:
    """Let clients ask until enough requests were sent and every film is answered; returns the seconds it took."""

    class Client(FastHttpUser):
        connection_timeout = network_timeout = PATIENCE

        def wait(self) -> None:
            gevent.sleep(0)

        def ask(self) -> None:
            _ask(self.client, tally)

        tasks = (ask,)

    Client.host = host
    runner = Environment(user_classes=[Client]).create_local_runner()
    started = time.perf_counter()
    runner.start(clients, spawn_rate=clients)
    while runner.user_count or tally.sent < tally.requests:
        gevent.sleep(0.05)
    runner.quit()
    return time.perf_counter() - started


def _ask(client: Any, tally: Tally) -> None:
    name, content = tally.next_film()
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        tally.sent += 1
        started = time.perf_counter()
        headers = {"Content-Type": "application/octet-stream"}
        reply = client.post("/invocations", data=content, headers=headers, name="film")
        tally.codes[reply.status_code] += 1
        if reply.status_code == 200:
            tally.seconds.append(time.perf_counter() - started)
            return tally.take(name, reply.json())
        if reply.status_code == 503:
            wait = reply.headers.get("retry-after")
            tally.unclean += wait is None
            gevent.sleep(float(wait or 1))
        elif reply.status_code == 0:
            gevent.sleep(0.2)
        else:
            return None
    return None


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
