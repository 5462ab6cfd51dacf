"""The predictor over many films: several threads prepare them, batches are scored, and a bad film stops nothing."""

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import cv2

from cxr.bundle.acquisition import acquisition
from cxr.console.progress import progress
from cxr.core.errors import CxrError
from cxr.core.files import write_bytes
from cxr.deploy.films import NamedFilm
from cxr.deploy.journal import Journal, Record
from cxr.deploy.overlay import overlay_png
from cxr.deploy.prediction import Prediction
from cxr.deploy.predictor import Predictor, PreparedFilm
from cxr.deploy.rows import answered, refused

BATCH = 8
AHEAD = 4  # films in work or waiting, a thread

Outcome = tuple[NamedFilm, Prediction | str]  # the answer, or why there is none


def predict_all(
    predictor: Predictor, films: Sequence[NamedFilm], journal: Journal, workers: int, overlays: Path | None = None
) -> list[Record]:
    """Answer about each film, in order; films that the journal knows are not read again.

    Args:
        predictor: a loaded bundle.
        films: where they are.
        journal: of this output and bundle.
        workers: threads that read and prepare.
        overlays: folder for one PNG a film, or None.
    """
    todo = [film for film in films if journal.done(film) is None]
    classes, bundle = predictor.config.classes, predictor.version
    with journal.open():
        for film, answer in progress(outcomes(predictor, todo, workers), len(todo), "predict"):
            if isinstance(answer, str):
                journal.add(film, Record(refused(film.address, answer, classes, bundle), []))
                continue
            if overlays is not None:
                write_bytes(overlays / f"{overlay_name(film.address)}.png", overlay_png(answer), durable=False)
            statistics = [float(value) for value in acquisition(answer.image, answer.film_size)]
            journal.add(film, Record(answered(answer, classes, bundle), statistics))
    records = [journal.done(film) for film in films]
    return [record for record in records if record is not None]


def outcomes(predictor: Predictor, films: Sequence[NamedFilm], workers: int) -> Iterator[Outcome]:
    """Yield the answer about each film, or the reason why there is none, in order."""
    cv2.setNumThreads(1)  # the threads share films, not pixels
    with ThreadPoolExecutor(workers) as pool:
        for batch in _batches(_prepared(predictor, films, pool, workers * AHEAD)):
            ready = [one for _, one in batch if isinstance(one, PreparedFilm)]
            answers = iter(predictor.answer(ready) if ready else [])
            for film, one in batch:
                yield film, next(answers) if isinstance(one, PreparedFilm) else one


def _prepared(
    predictor: Predictor, films: Sequence[NamedFilm], pool: ThreadPoolExecutor, ahead: int
) -> Iterator[tuple[NamedFilm, PreparedFilm | str]]:
    """Prepare a few films ahead of the one that is asked for, so that memory does not grow with their number."""
    waiting: deque[tuple[NamedFilm, Future[PreparedFilm | str]]] = deque()
    rest = iter(films)
    while True:
        for film in itertools.islice(rest, ahead - len(waiting)):
            waiting.append((film, pool.submit(_prepare, predictor, film)))
        if not waiting:
            return
        film, future = waiting.popleft()
        yield film, future.result()


def _prepare(predictor: Predictor, film: NamedFilm) -> PreparedFilm | str:
    try:
        return predictor.prepare(film.read())
    except CxrError as error:
        return str(error)
    except Exception as error:  # whatever a decoder raises on a damaged film must not end the run
        return f"{film.address}: cannot be read ({type(error).__name__}: {error})"


def _batches(
    items: Iterator[tuple[NamedFilm, PreparedFilm | str]],
) -> Iterator[list[tuple[NamedFilm, PreparedFilm | str]]]:
    while batch := list(itertools.islice(items, BATCH)):
        yield batch


def overlay_name(address: str) -> str:
    """A file name for a film's overlay: its address with folders joined by underscores."""
    return address.replace("://", "_").replace("..", "").strip("/").replace("/", "_")
