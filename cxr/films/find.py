"""Films among other files: by suffix, or by content if the name has none."""

import stat
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from cxr.films.dicom import DICOM_SUFFIXES
from cxr.films.medmnist import MAGIC
from cxr.films.read import IMAGE_SUFFIXES

FILM_SUFFIXES = (*IMAGE_SUFFIXES, *DICOM_SUFFIXES)
HEAD = 132  # bytes that tell a format: a DICOM file has its mark after a preamble of 128
_DICOM_INDEX = "DICOMDIR"  # the table of contents of an exported disc: DICOM without pixels
# PNG, JPEG, TIFF (also large), GIF, JPEG 2000, array
_MARKS = (b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"GIF8", b"\0\0\0\x0cjP  ", MAGIC)


def is_film(name: str, head: Callable[[], bytes]) -> bool:
    """Whether a file is a film by its name or, with another suffix or none, by its content.

    Args:
        name: file name.
        head: reads its first `HEAD` bytes; called only if the suffix is not a film's.
    """
    if name.upper() == _DICOM_INDEX:
        return False
    return name.lower().endswith(FILM_SUFFIXES) or has_film_mark(head())


def is_dicom_file(path: Path) -> bool:
    """Whether a file is a DICOM film by its suffix or its content."""
    if path.name.upper() == _DICOM_INDEX:
        return False
    return path.name.lower().endswith(DICOM_SUFFIXES) or _has_dicom_mark(read_head(path))


def has_film_mark(head: bytes) -> bool:
    """Whether the first bytes of a file are those of an image format that `cxr.films.read` may decode."""
    bitmap = head[:2] == b"BM" and head[6:10] == bytes(4)
    grey_map = head[:2] in (b"P2", b"P5") and head[2:3].isspace()
    web = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    avif = head[4:12] in (b"ftypavif", b"ftypavis")
    return head.startswith(_MARKS) or _has_dicom_mark(head) or bitmap or grey_map or web or avif


def _has_dicom_mark(head: bytes) -> bool:
    return head[128:132] == b"DICM"


def read_head(path: Path) -> bytes:
    """The first bytes of a file; empty where they cannot be read or it is not a regular file."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would block
            return b""
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError:
        return b""


def film_stem(name: str) -> str:
    """A file name without the suffix of a film; a name such as `1.2.840.113619.2.55` has none and stays whole."""
    suffix = PurePosixPath(name).suffix
    return name.removesuffix(suffix) if suffix.lower() in FILM_SUFFIXES else name
