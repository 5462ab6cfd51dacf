"""Threads that predict, with a bounded queue."""

import asyncio
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

F = TypeVar("F")
A = TypeVar("A")


@dataclass(frozen=True)
class Limits:
    """Limits on memory and waiting time."""

    max_bytes: int = 32_000_000  # of a request's body
    max_films: int = 64  # of a request
    queue: int = 64  # films waiting or at work; one more is answered with 503
    seconds: float = 20.0  # for one film, its wait included
    workers: int = os.cpu_count() or 1  # films at work at one time
    retry_after: int = 1  # seconds, what a 503 asks the client to wait
    batch: bool = False  # a batch transform, which any other status than 200 fails: answer 200 with the reason
    warm_up: bool = True  # read one synthetic film before the first request


class Busy(Exception):
    """The queue is full, or a film exceeded its time limit; try again later."""


class Workers:
    """Runs a function on films, within the limits."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.waiting = limits, 0  # films accepted and not finished
        self.pool = ThreadPoolExecutor(limits.workers, thread_name_prefix="film")

    @property
    def full(self) -> bool:
        """Whether there is no room for any film."""
        return self.waiting >= self.limits.queue

    async def map(self, function: Callable[[F], A], films: list[F]) -> list[A]:
        """`function(film)` of each film, in order.

        Raises:
            Busy: there is no room for all films, or one took too long; none is answered.
        """
        if self.waiting + len(films) > self.limits.queue:
            raise Busy(f"{self.waiting} films are waiting")
        self.waiting += len(films)
        work = [self.pool.submit(function, film) for film in films]
        loop = asyncio.get_running_loop()
        for item in work:
            # A film that exceeds its time limit keeps its place until its thread is free.
            item.add_done_callback(lambda _: loop.call_soon_threadsafe(self._done))
        try:
            async with asyncio.timeout(self.limits.seconds * math.ceil(len(films) / self.limits.workers)):
                return [await asyncio.wrap_future(item) for item in work]
        except TimeoutError as error:
            for item in work:
                item.cancel()
            raise Busy(f"a film took longer than {self.limits.seconds:g} s") from error

    def _done(self) -> None:
        self.waiting -= 1

    def close(self) -> None:
        """Finish running films and drop waiting ones."""
        self.pool.shutdown(wait=True, cancel_futures=True)
