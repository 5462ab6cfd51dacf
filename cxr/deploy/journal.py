"""What is done already of a long run: one line a film, so that a run that was stopped resumes where it was."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from cxr.deploy.films import NamedFilm


@dataclass(frozen=True)
class Record:
    """What is kept of one film."""

    row: dict[str, Any]  # as in predictions.csv
    statistics: list[float]  # acquisition statistics; empty for a film that was refused, or where nobody asked


class Journal:
    """A file beside the output, that vanishes when the output is there."""

    def __init__(self, output: Path, bundle: str) -> None:
        self.path = output.with_name(f"{output.name}.partial")
        self.bundle = bundle
        self.records = dict(_read(self.path, bundle))

    def done(self, film: NamedFilm) -> Record | None:
        """What an earlier run found on this film with this bundle, if the film is still the same."""
        return self.records.get(_key(film))

    @contextmanager
    def open(self) -> Iterator["Journal"]:
        """Add films until the end of the block; whole lines only, so that a kill costs one film."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        anew = not self.records
        with self.path.open("w" if anew else "a", encoding="utf-8") as stream:
            self._stream: IO[str] = stream
            self._write({"bundle": self.bundle} if anew else {})
            yield self

    def add(self, film: NamedFilm, record: Record) -> None:
        """Keep what was found on a film."""
        self.records[_key(film)] = record
        self._write({"key": _key(film), "row": record.row, "statistics": record.statistics})

    def remove(self) -> None:
        """The output is written: nothing is left to resume."""
        self.path.unlink(missing_ok=True)

    def _write(self, entry: dict[str, Any]) -> None:
        self._stream.write(json.dumps(entry) + "\n")
        self._stream.flush()


def _read(path: Path, bundle: str) -> Iterator[tuple[str, Record]]:
    """The films of an earlier run; none where it used another bundle. A line cut short by a kill is skipped."""
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
    return f"{film.address} {film.version}"
