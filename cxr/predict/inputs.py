"""Films that somebody names: files, folders, or addresses on S3."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cxr.core.errors import CxrError
from cxr.films.dicom import DICOM_SUFFIXES
from cxr.films.read import IMAGE_SUFFIXES, Source, read_source

if TYPE_CHECKING:  # a machine that predicts local films needs no AWS SDK
    from cxr.aws.s3 import Store

S3 = "s3://"
SUFFIXES = (*IMAGE_SUFFIXES, *DICOM_SUFFIXES)


@dataclass(frozen=True)
class NamedFilm:
    """A film that is not read yet."""

    address: str  # path, or s3://bucket/key
    version: str  # changes with the content: size and date, or the store's tag

    def read(self) -> Source:
        """The film's bytes; raises CxrError when they cannot be read."""
        if not self.address.startswith(S3):
            return read_source(self.address)
        bucket, key = _parts(self.address)
        return Source(self.address, _store(bucket).read(key))


def find_films(names: Sequence[str]) -> list[NamedFilm]:
    """The films that files, folders and S3 addresses stand for, in the order given, folders sorted; each film once.

    In a folder, films are files with a film's suffix or none (as DICOM often has), but no hidden ones. What is called
    like a film and is no file counts, too: reading it tells so.

    Raises:
        CxrError: a name stands for nothing.
    """
    films: dict[str, NamedFilm] = {}
    for name in names:
        found = list(_on_s3(name) if name.startswith(S3) else _local(Path(name)))
        if not found:
            raise CxrError(f"{name}: no film; give a film, or a folder of {', '.join(SUFFIXES)} files")
        films |= {film.address: film for film in found}
    return list(films.values())


def _local(path: Path) -> Iterator[NamedFilm]:
    if path.is_file():
        yield _local_film(path)
        return
    for file in sorted(path.rglob("*")):
        if _may_be_film(file.relative_to(path).as_posix()) and (not file.is_dir() or file.name.endswith(SUFFIXES)):
            yield _local_film(file)


def _local_film(path: Path) -> NamedFilm:
    facts = path.stat() if path.exists() else path.lstat()  # a link may lead nowhere
    return NamedFilm(path.as_posix(), f"{facts.st_size}-{facts.st_mtime_ns}")


def _on_s3(address: str) -> Iterator[NamedFilm]:
    bucket, key = _parts(address)
    folder = f"{key.rstrip('/')}/" if key else ""
    found = _store(bucket).versions(folder)
    for name, version in sorted(found.items()):
        if _may_be_film(name.removeprefix(folder)):
            yield NamedFilm(f"{S3}{bucket}/{name}", version)
    if not found:
        one = _store(bucket).versions(key)  # which lists neighbours with a longer name, too
        if key in one:
            yield NamedFilm(address, one[key])


def _parts(address: str) -> tuple[str, str]:
    bucket, _, key = address.removeprefix(S3).partition("/")
    return bucket, key


def _may_be_film(name: str) -> bool:
    parts = name.split("/")
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return not hidden and ("." not in parts[-1] or parts[-1].lower().endswith(SUFFIXES))


@functools.cache
def _store(bucket: str) -> "Store":
    try:
        from cxr.aws.s3 import Store
    except ImportError as error:
        raise CxrError("s3:// needs the package boto3; pip install boto3, or copy the films here") from error
    return Store(f"{S3}{bucket}")
