"""Predictions for many films: prefetched, batched, and logged, so that a killed run resumes."""

import itertools
import json
import logging
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import cv2

from cxr.acquisition.statistics import acquisition_statistics, with_size
from cxr.core.errors import CxrError
from cxr.core.files import write_bytes
from cxr.predict.inputs import NamedFilm, find_films, with_metadata
from cxr.predict.overlay import overlay_png
from cxr.predict.own import OwnObject
from cxr.predict.prediction import Prediction, Row, answered, rejected, write_rows
from cxr.predict.predictor import Predictor, PreparedFilm
from cxr.runtime.console import progress

BATCH = 8
AHEAD = 4  # films per thread, waiting or being prepared
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Record:
    """The stored result of one film."""

    row: dict[str, Any]  # as in predictions.csv
    statistics: list[float]  # acquisition statistics; empty if the film was rejected or they were not requested


class ProgressLog:
    """A file beside the output with the results so far; it is removed when the output is complete."""

    def __init__(self, output: Path, bundle: str) -> None:
        self.path = output.with_name(f"{output.name}.partial")
        self.bundle = bundle
        self.records = dict(_read(self.path, bundle))

    def done(self, film: NamedFilm) -> Record | None:
        """The result of an earlier run for this film and bundle, if the film is unchanged."""
        return self.records.get(_key(film))

    @contextmanager
    def open(self) -> Iterator["ProgressLog"]:
        """Add films until the end of the block; a kill loses at most one line."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        anew = not self.records
        with self.path.open("w" if anew else "a", encoding="utf-8") as stream:
            self._stream: IO[str] = stream
            self._write({"bundle": self.bundle} if anew else {})
            yield self

    def add(self, film: NamedFilm, record: Record) -> None:
        """Append the result of a film."""
        self.records[_key(film)] = record
        self._write({"key": _key(film), "row": record.row, "statistics": record.statistics})

    def remove(self) -> None:
        """Delete the log after the output is written."""
        self.path.unlink(missing_ok=True)

    def _write(self, entry: dict[str, Any]) -> None:
        self._stream.write(json.dumps(entry) + "\n")
        self._stream.flush()


def _read(path: Path, bundle: str) -> Iterator[tuple[str, Record]]:
    """The films of an earlier run; none if it used another bundle. A truncated line is skipped."""
    if not path.is_file():
        return
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entries.append(json.loads(line))
        except ValueError:
            continue
    if entries and entries[0].get("bundle") == bundle:
        for entry in entries:
            if "key" in entry:
                yield entry["key"], Record(entry["row"], entry["statistics"])


def _key(film: NamedFilm) -> str:
    return " ".join(filter(None, [film.address, film.version, film.declared.age, film.declared.view]))


@dataclass(frozen=True)
class Outcome:
    """Prediction or rejection of a film."""

    film: NamedFilm
    answer: Prediction | str  # or the reason for the rejection
    statistics: list[float]  # acquisition statistics; empty without a prediction, or if they were not requested


class Writer(Protocol):
    """Writes further results of each film."""

    def add(self, outcome: Outcome) -> None:
        """Write the results of one film."""


@dataclass(frozen=True)
class _Ready:
    film: PreparedFilm
    statistics: list[float]


_Waiting = tuple[NamedFilm, _Ready | str | None]  # None: an object of this program


def predict_all(
    predictor: Predictor,
    films: Sequence[NamedFilm],
    journal: ProgressLog,
    workers: int,
    overlays: Path | None = None,
    statistics: bool = False,
    writer: Writer | None = None,
) -> list[Record]:
    """Predict each film, in order; films in the log are not read again. DICOM objects of this program are left out.

    Args:
        predictor: a loaded bundle.
        films: where they are.
        journal: of this output and bundle.
        workers: threads that read and prepare.
        overlays: folder for one PNG per film, or None.
        statistics: also record the acquisition statistics.
        writer: of further results, or None.
    """
    todo = [film for film in films if journal.done(film) is None]
    classes, bundle = predictor.config.classes, predictor.version
    with journal.open():
        for one in progress(outcomes(predictor, todo, workers, statistics), len(todo), "predict"):
            film, answer = one.film, one.answer
            if writer is not None:
                writer.add(one)
            if isinstance(answer, str):
                journal.add(film, Record(rejected(film.address, answer, classes, bundle), []))
                continue
            if overlays is not None:
                write_bytes(overlays / f"{overlay_name(film.address)}.png", overlay_png(answer), durable=False)
            journal.add(film, Record(answered(answer, classes, bundle), one.statistics))
    records = [journal.done(film) for film in films]
    return [record for record in records if record is not None]


def outcomes(
    predictor: Predictor, films: Sequence[NamedFilm], workers: int, statistics: bool = False
) -> Iterator[Outcome]:
    """Yield the prediction of each film, or the reason for its rejection, in order.

    DICOM objects that this program wrote are left out and counted in the log.
    """
    cv2.setNumThreads(1)  # parallel over films, not within a film
    own = 0
    with ThreadPoolExecutor(workers) as pool:
        for batch in _batches(_prepared(predictor, films, pool, workers * AHEAD, statistics)):
            ready = [one.film for _, one in batch if isinstance(one, _Ready)]
            answers = iter(predictor.answer(ready) if ready else [])
            for film, one in batch:
                if one is None:
                    own += 1
                    continue
                yield Outcome(film, one, []) if isinstance(one, str) else Outcome(film, next(answers), one.statistics)
    if own:
        log.info("left out: %d DICOM objects that this program wrote", own)


def _prepared(
    predictor: Predictor, films: Sequence[NamedFilm], pool: ThreadPoolExecutor, ahead: int, statistics: bool
) -> Iterator[_Waiting]:
    """Prepare a few films ahead, so that memory does not grow with their number."""
    waiting: deque[tuple[NamedFilm, Future[_Ready | str | None]]] = deque()
    rest = iter(films)
    while True:
        for film in itertools.islice(rest, ahead - len(waiting)):
            waiting.append((film, pool.submit(_prepare, predictor, film, statistics)))
        if not waiting:
            return
        film, future = waiting.popleft()
        yield film, future.result()


def _prepare(predictor: Predictor, film: NamedFilm, statistics: bool) -> _Ready | str | None:
    try:
        prepared = predictor.prepare(film.read(), film.declared)
        return _Ready(
            prepared,
            with_size(prepared.film.size, acquisition_statistics(prepared.film.grey)).tolist() if statistics else [],
        )
    except OwnObject:
        return None
    except CxrError as error:
        return str(error)
    except Exception as error:  # no decoder error may end the run; its text may quote the film
        return f"{film.address}: cannot be read ({type(error).__name__}); replace or remove it"


def _batches(items: Iterator[_Waiting]) -> Iterator[list[_Waiting]]:
    while batch := list(itertools.islice(items, BATCH)):
        yield batch


def overlay_name(address: str) -> str:
    """A file name for a film's overlay: its address with folders joined by underscores."""
    return address.replace("://", "_").replace("..", "").strip("/").replace("/", "_")


def predict_into(
    out: Path,
    predictor: Predictor,
    names: Sequence[str],
    workers: int,
    overlays: Path | None = None,
    statistics: bool = False,
    metadata: Path | None = None,
    writer: Writer | None = None,
) -> list[Record]:
    """Write one row per film into `out`; a stopped run resumes, unless there is a writer, which must see every film.

    Args:
        out: CSV to write.
        predictor: a loaded bundle.
        names: films, folders or S3 addresses.
        workers: threads that prepare films.
        overlays: folder for one picture per film, or None.
        statistics: also record the acquisition statistics, for drift.
        metadata: a table with columns path, and age or view, or None.
        writer: of further results, or None.

    Raises:
        CxrError: a name matches no film, or the table is faulty.
    """
    films = find_films(names)
    if metadata is not None:
        films = with_metadata(films, metadata)
    journal = ProgressLog(out, f"{predictor.version}{' with statistics' if statistics else ''}")
    if writer is not None:
        journal.records = {}
    records = predict_all(predictor, films, journal, workers, overlays, statistics, writer)
    rows = [record.row for record in records]
    write_rows(out, rows, predictor.config.classes)
    journal.remove()
    _tell(rows, out)
    return records


def _tell(rows: Sequence[Row], out: Path) -> None:
    read = [row for row in rows if not row["rejected"]]
    flagged = [row for row in read if row["flags"]]
    calls = Counter(row["decision"] for row in read)
    flags = Counter(flag for row in flagged for flag in row["flags"].split("|"))
    log.info("%s: %d films. RESEARCH USE ONLY, not for diagnosis", out, len(rows))
    log.info("predicted: %s", _counts(calls) or "none")
    log.info("flagged: %d%s", len(flagged), f" ({_counts(flags)})" if flags else "")
    log.info("rejected: %d", len(rows) - len(read))


def _counts(counter: "Counter[str]") -> str:
    return ", ".join(f"{films} {name}" for name, films in counter.most_common())
