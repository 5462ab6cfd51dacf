"""Films given by name: files, folders, or S3 addresses."""

import functools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cxr.bundle.population import NOTHING, Declared, checked
from cxr.core.errors import CxrError
from cxr.films.find import FILM_SUFFIXES, HEAD, is_film, read_head
from cxr.films.read import Source, read_source
from cxr.ingest.names import FilmNames
from cxr.ingest.table import read_table

if TYPE_CHECKING:  # local films need no AWS SDK
    from cxr.aws.s3 import Store

log = logging.getLogger(__name__)
S3 = "s3://"


@dataclass(frozen=True)
class NamedFilm:
    """A film that has not been read."""

    address: str  # path, or s3://bucket/key
    version: str  # changes with the content: size and date, or the store's tag
    declared: Declared = NOTHING  # what a table says of its patient and view

    def read(self) -> Source:
        """The film's bytes; raises CxrError when they cannot be read."""
        if not self.address.startswith(S3):
            return read_source(self.address)
        bucket, key = _parts(self.address)
        return Source(self.address, _store(bucket).read(key))


def find_films(names: Sequence[str]) -> list[NamedFilm]:
    """The films in files, folders and S3 addresses, in the order given, folders sorted; each film once.

    In a folder, films are files with the suffix or the content of one, but no hidden ones. A folder or broken link
    with the suffix of a film counts, too, and is rejected when it is read. Other files are counted in the log.

    Raises:
        CxrError: a name matches nothing.
    """
    films: dict[str, NamedFilm] = {}
    for name in names:
        found = list(_on_s3(name) if name.startswith(S3) else _local(Path(name)))
        if not found:
            raise CxrError(f"{name}: no film; give a film, or a folder of {', '.join(FILM_SUFFIXES)} files")
        films |= {film.address: film for film in found}
    return list(films.values())


def with_metadata(films: Sequence[NamedFilm], path: Path) -> list[NamedFilm]:
    """The films with the age and view that a table declares, by path, file name or stem.

    Raises:
        CxrError: the table cannot be read, lacks the columns path, and age or view, or has a value that is none.
    """
    table = read_table(path)
    columns = {name: table.column(name) for name in ("path", "age", "view")}
    if columns["path"] is None or (columns["age"] is None and columns["view"] is None):
        missing = "path" if columns["path"] is None else "age"
        raise CxrError(f"{path}: {table.no_column(missing)}; name films by path, and declare age, view or both")
    names, known = FilmNames(film.address for film in films), dict[str, Declared]()
    for line, row in zip(table.lines, table.rows, strict=True):
        path_, age, view = ("" if column is None else row[column] for column in columns.values())
        try:
            declared = checked(age, view)
        except CxrError as error:
            raise CxrError(f"{path}:{line}: {error}") from error
        for address in names.find(path_):
            if known.setdefault(address, declared) != declared:
                raise CxrError(f"{path}:{line}: two rows about {address} differ; keep one")
    return [replace(film, declared=known.get(film.address, film.declared)) for film in films]


def _local(path: Path) -> Iterator[NamedFilm]:
    if path.is_file():
        yield _local_film(path)
        return
    left_out = 0
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        if _is_hidden(name) or (file.is_dir() and not name.lower().endswith(FILM_SUFFIXES)):
            continue
        if is_film(file.name, functools.partial(read_head, file)):
            yield _local_film(file)
        else:
            left_out += 1
    _log_left_out(left_out)


def _local_film(path: Path) -> NamedFilm:
    facts = path.stat() if path.exists() else path.lstat()  # a link may be broken
    return NamedFilm(path.as_posix(), f"{facts.st_size}-{facts.st_mtime_ns}")


def _on_s3(address: str) -> Iterator[NamedFilm]:
    bucket, key = _parts(address)
    folder = f"{key.rstrip('/')}/" if key else ""
    store = _store(bucket)
    found = store.versions(folder)
    left_out = 0
    for name, version in sorted(found.items()):
        inside = name.removeprefix(folder)
        if _is_hidden(inside):
            continue
        if is_film(Path(name).name, functools.partial(store.head, name, HEAD)):
            yield NamedFilm(f"{S3}{bucket}/{name}", version)
        else:
            left_out += 1
    _log_left_out(left_out)
    if not found:
        one = store.versions(key)  # which lists neighbours with a longer name, too
        if key in one:
            yield NamedFilm(address, one[key])


def _parts(address: str) -> tuple[str, str]:
    bucket, _, key = address.removeprefix(S3).partition("/")
    return bucket, key


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _log_left_out(count: int) -> None:
    """Log a number only: a name may identify a patient."""
    if count:
        log.info("left out: %d files that are not films by suffix or content", count)


@functools.cache
def _store(bucket: str) -> "Store":
    try:
        from cxr.aws.s3 import Store
    except ImportError as error:
        raise CxrError("s3:// needs the package boto3; pip install boto3, or copy the films here") from error
    return Store(f"{S3}{bucket}")
