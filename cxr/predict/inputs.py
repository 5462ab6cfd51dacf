"""Films that somebody names: files, folders, or addresses on S3."""

import functools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr.core.errors import CxrError
from cxr.films.find import FILM_SUFFIXES, HEAD, is_film, read_head
from cxr.films.read import Source, read_source

log = logging.getLogger(__name__)
S3 = "s3://"


@dataclass(frozen=True)
class NamedFilm:
    """A film that is not read yet."""

    address: str  # path, or s3://bucket/key
    version: str  # changes with the content: size and date, or the store's tag

    def read(self) -> Source:
        """The film's bytes; raises CxrError when they cannot be read."""
        if not self.address.startswith(S3):
            return read_source(self.address)
        try:
            return Source(self.address, bytes(_s3().cat_file(self.address)))
        except OSError as error:
            raise CxrError(
                f"{self.address}: cannot be read ({error}); check the address and the credentials"
            ) from error


def find_films(names: Sequence[str]) -> list[NamedFilm]:
    """The films that files, folders and S3 addresses stand for, in the order given, folders sorted; each film once.

    In a folder, films are files with the suffix or the content of one, but no hidden ones. What is called like a film
    and is no file counts, too: reading it tells so. Other files are counted in the log.

    Raises:
        CxrError: a name stands for nothing.
    """
    films: dict[str, NamedFilm] = {}
    for name in names:
        found = list(_on_s3(name) if name.startswith(S3) else _local(Path(name)))
        if not found:
            raise CxrError(f"{name}: no film; give a film, or a folder of {', '.join(FILM_SUFFIXES)} files")
        films |= {film.address: film for film in found}
    return list(films.values())


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
    facts = path.stat() if path.exists() else path.lstat()  # a link may lead nowhere
    return NamedFilm(path.as_posix(), f"{facts.st_size}-{facts.st_mtime_ns}")


def _on_s3(address: str) -> Iterator[NamedFilm]:
    try:
        files: dict[str, Any] = _s3().find(address, detail=True)
    except OSError as error:
        raise CxrError(f"{address}: cannot be listed ({error}); check the address and the credentials") from error
    folder = address.removeprefix(S3).rstrip("/")
    left_out = 0
    for key, facts in sorted(files.items()):
        inside = key.removeprefix(folder).lstrip("/")
        if inside and _is_hidden(inside):
            continue
        if not inside or is_film(
            Path(key).name, functools.partial(_head_on_s3, key, facts)
        ):  # empty: it is the film itself
            yield NamedFilm(f"{S3}{key}", f"{facts.get('size')}-{facts.get('ETag', '')}")
        else:
            left_out += 1
    _log_left_out(left_out)


def _head_on_s3(key: str, facts: dict[str, Any]) -> bytes:
    if not facts.get("size"):  # S3 refuses a range of nothing
        return b""
    try:
        return bytes(_s3().cat_file(key, start=0, end=HEAD))
    except OSError as error:
        raise CxrError(f"{S3}{key}: cannot be read ({error}); check the address and the credentials") from error


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _log_left_out(count: int) -> None:
    """Log a number only: a name may identify a patient."""
    if count:
        log.info("left out: %d files that are not films by suffix or content", count)


def _s3() -> Any:
    try:
        import s3fs
    except ImportError as error:
        raise CxrError("s3:// needs the package s3fs; pip install dvc-s3, or copy the films here") from error
    return s3fs.S3FileSystem()
