"""The bounded queue: order, rejection when full, time limit, and freed places."""

import asyncio
import threading
import time

import pytest

from cxr.predict.service.workers import Busy, Limits, Workers


def test_films_are_answered_in_order() -> None:
    async def run() -> list[int]:
        workers = Workers(Limits(workers=3))
        return await workers.map(lambda number: (time.sleep(0.01 * (3 - number)), number)[1], [0, 1, 2])

    assert asyncio.run(run()) == [0, 1, 2]


def test_a_full_queue_rejects_films_until_there_is_room() -> None:
    async def run() -> None:
        workers, free = Workers(Limits(workers=1, queue=2)), threading.Event()
        first = asyncio.create_task(workers.map(lambda _: free.wait(60), [0, 1]))
        await asyncio.sleep(0)  # it puts its films into the queue
        with pytest.raises(Busy, match="2 films are waiting"):
            await workers.map(lambda _: True, [2])
        free.set()
        assert await first == [True, True]
        assert await workers.map(lambda _: True, [3]) == [True]

    asyncio.run(run())


def test_a_film_over_its_time_limit_fails_and_keeps_its_place_until_its_thread_is_free() -> None:
    async def run() -> None:
        workers, free = Workers(Limits(workers=1, queue=2, seconds=0.05)), threading.Event()
        with pytest.raises(Busy, match="longer than"):
            await workers.map(lambda _: free.wait(60), [0])
        assert workers.waiting == 1
        free.set()
        while workers.waiting:
            await asyncio.sleep(0.01)

    asyncio.run(run())


def test_a_films_error_reaches_the_caller_and_frees_its_place() -> None:
    def fail(_: int) -> None:
        raise ValueError("broken")

    async def run() -> None:
        workers = Workers(Limits(workers=1))
        with pytest.raises(ValueError, match="broken"):
            await workers.map(fail, [0])
        assert workers.waiting == 0

    asyncio.run(run())
