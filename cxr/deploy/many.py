"""The predictor over many films: several threads prepare them, batches are scored, and a bad film stops nothing."""

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2

from cxr.bundle.acquisition import acquisition_of
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


@dataclass(frozen=True)
class Outcome:
    """What became of a film."""

    film: NamedFilm
    answer: Prediction | str  # or why there is none
    statistics: list[float]  # of its acquisition; empty without an answer, or where nobody asked for them


@dataclass(frozen=True)
class _Ready:
    film: PreparedFilm
    statistics: list[float]


_Waiting = tuple[NamedFilm, _Ready | str]


def predict_all(
    predictor: Predictor,
    films: Sequence[NamedFilm],
    journal: Journal,
    workers: int,
    overlays: Path | None = None,
    statistics: bool = False,
) -> list[Record]:
    """Answer about each film, in order; films that the journal knows are not read again.

    Args:
        predictor: a loaded bundle.
        films: where they are.
        journal: of this output and bundle.
        workers: threads that read and prepare.
        overlays: folder for one PNG a film, or None.
        statistics: keep those of acquisition, too.
    """
    todo = [film for film in films if journal.done(film) is None]
    classes, bundle = predictor.config.classes, predictor.version
    with journal.open():
        for one in progress(outcomes(predictor, todo, workers, statistics), len(todo), "predict"):
            film, answer = one.film, one.answer
            if isinstance(answer, str):
                journal.add(film, Record(refused(film.address, answer, classes, bundle), []))
                continue
            if overlays is not None:
                write_bytes(overlays / f"{overlay_name(film.address)}.png", overlay_png(answer), durable=False)
            journal.add(film, Record(answered(answer, classes, bundle), one.statistics))
    records = [journal.done(film) for film in films]
    return [record for record in records if record is not None]


def outcomes(
    predictor: Predictor, films: Sequence[NamedFilm], workers: int, statistics: bool = False
) -> Iterator[Outcome]:
    """Yield the answer about each film, or the reason why there is none, in order."""
    cv2.setNumThreads(1)  # the threads share films, not pixels
    with ThreadPoolExecutor(workers) as pool:
        for batch in _batches(_prepared(predictor, films, pool, workers * AHEAD, statistics)):
            ready = [one.film for _, one in batch if isinstance(one, _Ready)]
            answers = iter(predictor.answer(ready) if ready else [])
            for film, one in batch:
                yield Outcome(film, one, []) if isinstance(one, str) else Outcome(film, next(answers), one.statistics)


def _prepared(
    predictor: Predictor, films: Sequence[NamedFilm], pool: ThreadPoolExecutor, ahead: int, statistics: bool
) -> Iterator[_Waiting]:
    """Prepare a few films ahead of the one that is asked for, so that memory does not grow with their number."""
    waiting: deque[tuple[NamedFilm, Future[_Ready | str]]] = deque()
    rest = iter(films)
    while True:
        for film in itertools.islice(rest, ahead - len(waiting)):
            waiting.append((film, pool.submit(_prepare, predictor, film, statistics)))
        if not waiting:
            return
        film, future = waiting.popleft()
        yield film, future.result()


def _prepare(predictor: Predictor, film: NamedFilm, statistics: bool) -> _Ready | str:
    try:
        prepared = predictor.prepare(film.read())
        return _Ready(prepared, acquisition_of(prepared.film.grey).tolist() if statistics else [])
    except CxrError as error:
        return str(error)
    except Exception as error:  # whatever a decoder raises must not end the run; its text may quote the film
        return f"{film.address}: cannot be read ({type(error).__name__}); replace or remove it"


def _batches(items: Iterator[_Waiting]) -> Iterator[list[_Waiting]]:
    while batch := list(itertools.islice(items, BATCH)):
        yield batch


def overlay_name(address: str) -> str:
    """A file name for a film's overlay: its address with folders joined by underscores."""
    return address.replace("://", "_").replace("..", "").strip("/").replace("/", "_")
