"""Clients of the service, under Locust: each asks about one film after another and counts what comes back.

A client that is told 503 waits as long as Retry-After says and asks again; one whose connection breaks asks again at
once. So a film is lost only where no answer ever comes.
"""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import gevent
import numpy as np
from locust import FastHttpUser
from locust.env import Environment
from locust.exception import StopUser

Known = dict[str, dict[str, float]]  # probability of each film, by bundle
PATIENCE = 300.0  # seconds after which a film without an answer is lost
CLOSE = 2e-6  # answers have six decimals


@dataclass
class Tally:
    """What was asked and what came back."""

    requests: int  # to send, before no further film is begun
    films: dict[str, bytes]
    known: Known
    codes: Counter[int] = field(default_factory=Counter)  # of answers; 0 is a broken connection
    bundles: Counter[str] = field(default_factory=Counter)  # that answered
    seconds: list[float] = field(default_factory=list)  # of requests that were answered with 200
    begun: int = 0  # films
    answered: int = 0
    lost: int = 0
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
        """Compare an answer with what its bundle says of the film."""
        self.answered += 1
        bundle = str(facts["bundle"])
        self.bundles[bundle] += 1
        expected = self.known.get(bundle, {}).get(film, np.nan)
        self.wrong += not abs(facts["probability"] - expected) < CLOSE

    @property
    def faults(self) -> int:
        """What must not happen."""
        other = sum(count for code, count in self.codes.items() if code not in (0, 200, 503))
        return self.begun - self.answered + self.unclean + self.wrong + other


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
            break
    tally.lost += 1
    return None
