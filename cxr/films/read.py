"""Reading and decoding of films: JPEG, PNG, DICOM, members of a MedMNIST file."""

import functools
import io
import stat
import warnings
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cxr.core.errors import CxrError
from cxr.core.files import digest
from cxr.films.dicom import decode_dicom, is_dicom, parse_dicom
from cxr.films.film import Film, film_from_array
from cxr.films.letterbox import Image
from cxr.films.medmnist import MAGIC, decode_member, is_member, member_bytes

MAX_PIXELS = 100_000_000  # the largest detectors have about 20 million
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
JPEG_MAGIC = b"\xff\xd8"
_SCALED = {2: cv2.IMREAD_REDUCED_GRAYSCALE_2, 4: cv2.IMREAD_REDUCED_GRAYSCALE_4, 8: cv2.IMREAD_REDUCED_GRAYSCALE_8}


def decoder_versions() -> dict[str, str]:
    """Versions of OpenCV, pydicom and GDCM; `absent` for a library that is not installed."""
    return {"opencv": cv2.__version__, "pydicom": _version("pydicom"), "gdcm": _version("python-gdcm")}


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "absent"


def check_size(address: str, content: bytes, max_pixels: int = MAX_PIXELS) -> None:
    """Check the size that a film's header declares; nothing is decoded.

    An unreadable header passes: the decoder reports it.

    Raises:
        CxrError: the header declares more than `max_pixels` pixels.
    """
    pixels = _dicom_pixels(content) if is_dicom(address, content) else _image_pixels(content)
    if pixels > max_pixels:
        raise CxrError(f"{address}: more than {max_pixels // 10**6} million pixels by its header; scale the film down")


def _image_pixels(content: bytes) -> float:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about large images and damaged tags
            with Image.open(io.BytesIO(content)) as image:
                return image.width * image.height * int(getattr(image, "n_frames", 1))
    except Image.DecompressionBombError:
        return float("inf")
    except Exception:  # Pillow raises whatever its parsers raise
        return 0


def _dicom_pixels(content: bytes) -> float:
    try:
        header = parse_dicom(content, stop_before_pixels=True)
        return int(header.get("Columns", 0)) * int(header.get("Rows", 0)) * int(header.get("NumberOfFrames", 1) or 1)
    except Exception:  # pydicom raises many types on damaged files
        return 0


@dataclass(frozen=True)
class Source:
    """One film before decoding: its address and its bytes."""

    address: str
    content: bytes

    @functools.cached_property
    def film_hash(self) -> str:
        """Content hash: identifies the film in cache keys, and seeds what is random in its preparation."""
        return digest(self.content)


def read_source(address: str) -> Source:
    """The bytes of a film; raises CxrError when they cannot be read, or when it is not a regular file."""
    path = Path(address)
    if is_member(address):
        return Source(address, member_bytes(address))
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would block
            raise CxrError(f"{address}: a folder, pipe, socket or device, not a file; rename or remove it")
        return Source(address, path.read_bytes())
    except OSError as error:
        raise CxrError(
            f"{address}: cannot be read ({error.strerror}); restore the file, or remove it and run ingest again"
        ) from error


def decode(source: Source) -> Film:
    """Decode one film; raises CxrError when it is empty, truncated, of an unknown format or far too large."""
    address, content = source.address, source.content
    if not content:
        raise CxrError(f"{address}: empty file; replace or remove it")
    check_size(address, content)
    if is_dicom(address, content):
        return decode_dicom(address, content)
    if content.startswith(MAGIC):
        return film_from_array(address, decode_member(address, content))
    pixels = _imdecode(content, cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise CxrError(f"{address}: cannot be decoded as an image; replace or remove it")
    if pixels.ndim == 3 and pixels.shape[2] >= 3:
        pixels = cv2.cvtColor(pixels[..., :3], cv2.COLOR_BGR2RGB)
    return film_from_array(address, np.asarray(pixels))


def decode_scaled(source: Source, size: tuple[int, int], enough_px: int) -> Image:
    """Grey pixels of a film of `size` (width, height), with a longer side of at least `enough_px` pixels.

    A JPEG film is decoded at a half, a quarter or an eighth of its size, other formats whole. Bundles whose preparation
    resizes whole films found the lungs on these pixels.
    """
    scale = max((by for by in _SCALED if max(size) >= by * enough_px), default=1)
    if scale > 1 and source.content.startswith(JPEG_MAGIC):
        pixels = _imdecode(source.content, _SCALED[scale] | cv2.IMREAD_IGNORE_ORIENTATION)
        if pixels is not None:
            return np.asarray(pixels, np.uint8)
    return decode(source).grey


def _imdecode(content: bytes, flags: int) -> Any:
    """The pixels of an image; None when OpenCV cannot decode it or it is too large for OpenCV."""
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:
        return None


def read_film(address: str) -> Film:
    """Read and decode one film; raises CxrError when the file is missing or cannot be decoded."""
    return decode(read_source(address))
