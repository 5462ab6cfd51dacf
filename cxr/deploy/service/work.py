"""A bounded queue of films in front of a pool of threads (ONNX Runtime and OpenCV leave Python's lock free)."""

import asyncio
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from cxr.deploy.service.limits import Limits

F = TypeVar("F")
A = TypeVar("A")


class Busy(Exception):
    """The queue is full, or a film took longer than its time limit: try again later."""


class Workers:
    """Runs a function on films, never more of them at a time than the limits allow."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.waiting = limits, 0  # films admitted and not yet answered
        self.pool = ThreadPoolExecutor(limits.workers, thread_name_prefix="film")

    @property
    def full(self) -> bool:
        """Whether there is no room for any film."""
        return self.waiting >= self.limits.queue

    async def map(self, function: Callable[[F], A], films: list[F]) -> list[A]:
        """`function(film)` of each film, in order.

        Raises:
            Busy: there is no room for all of them, or one took too long; none is answered then.
        """
        if self.waiting + len(films) > self.limits.queue:
            raise Busy(f"{self.waiting} films are waiting")
        self.waiting += len(films)
        work = [self.pool.submit(function, film) for film in films]
        loop = asyncio.get_running_loop()
        for item in work:
            # A film that outlasts its request keeps its place until its thread is free again.
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
        """Let films at work end, drop those that wait."""
        self.pool.shutdown(wait=True, cancel_futures=True)
