"""Per-film work in parallel processes through joblib: on this machine, or on a Dask cluster."""

import contextlib
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, TypeVar

import cv2
from joblib import Parallel, delayed, parallel_config

from cxr.core.errors import CxrError
from cxr.runtime.compute import Compute
from cxr.runtime.console import progress

T = TypeVar("T")
R = TypeVar("R")
CHUNK = 16  # films per task: large enough to hide dispatch, small enough for a smooth progress bar


def map_films(
    function: Callable[[T], R], films: Sequence[T], compute: Compute, description: str
) -> Generator[R, None, None]:
    """Yield `function(film)` for each film, in order, while later films are still being processed.

    Results are streamed, so memory does not grow with the number of films. `function` must be picklable (a
    module-level function or a `functools.partial` of one). Raises what `function` raises.
    """
    if films:
        with _engine(compute):
            n_jobs = -1 if compute.parallel.engine == "dask" else compute.n_workers
            yield from _stream(function, films, n_jobs, description)


def _stream(function: Callable[[T], R], films: Sequence[T], n_jobs: int, description: str) -> Iterator[R]:
    chunks = _chunks(films)
    workers = n_jobs if n_jobs < 0 else min(n_jobs, max(1, len(chunks)))
    results = Parallel(n_jobs=workers, return_as="generator", batch_size=1)(
        delayed(_run_chunk)(function, chunk) for chunk in chunks
    )
    yield from progress((result for chunk in results for result in chunk), len(films), description)


def _chunks(films: Sequence[T]) -> list[Sequence[T]]:
    return [films[start : start + CHUNK] for start in range(0, len(films), CHUNK)]


def _run_chunk(function: Callable[[T], R], chunk: Sequence[T]) -> list[R]:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # parallel over films, not within a film
    try:
        return [function(film) for film in chunk]
    finally:
        cv2.setNumThreads(threads)


@contextlib.contextmanager
def _engine(compute: Compute) -> Iterator[None]:
    if compute.parallel.engine == "loky":
        with parallel_config(backend="loky", inner_max_num_threads=1):
            yield
        return
    with _dask_client(compute.parallel.address), parallel_config(backend="dask"):
        yield


@contextlib.contextmanager
def _dask_client(address: str) -> Iterator[Any]:
    try:
        from distributed import Client
    except ImportError as error:
        raise CxrError(
            "compute.yaml: parallel.engine: dask needs the optional package; pip install 'dask[distributed]'"
        ) from error
    if address == "none":
        raise CxrError("compute.yaml: parallel.address: none; engine: dask needs one, such as tcp://host:8786")
    try:
        client: Any = Client(address, timeout="10s")  # type: ignore[no-untyped-call]
    except (OSError, TimeoutError) as error:
        raise CxrError(
            f"compute.yaml: parallel.address: no Dask scheduler at {address}; start one or set engine: loky"
        ) from error
    with client:
        yield client
