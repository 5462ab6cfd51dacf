"""Films from disk: PNG, JPEG and the like, DICOM, and members of a MedMNIST `.npz`.

A film's address is a path, or `file.npz#split/index` for a member of a MedMNIST file. A film in memory is 8-bit grey
(height, width), bright bone on dark air, whatever its file looked like.
"""

import functools
import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cxr.core.errors import CxrError
from cxr.films.letterbox import Image

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
JPEG_SUFFIXES = (".jpg", ".jpeg")
DICOM_SUFFIXES = (".dcm", ".dicom")
_REDUCED = {2: cv2.IMREAD_REDUCED_GRAYSCALE_2, 4: cv2.IMREAD_REDUCED_GRAYSCALE_4, 8: cv2.IMREAD_REDUCED_GRAYSCALE_8}
MIN_COLOUR = 24  # difference between two channels, of 255, that JPEG noise on a grey film does not reach


@dataclass(frozen=True)
class Film:
    """One decoded film and what its file said about it."""

    grey: Image
    colour: Image | None  # (height, width, 3) RGB where the file has colour channels
    bits: int
    coloured: float  # share of pixels with a visible hue
    header: dict[str, str]  # DICOM attributes (view, sex, age); empty for other files


def read_bytes(address: str) -> bytes:
    """The bytes that make up a film: the file, or the pixels of a MedMNIST member."""
    if "#" in address:
        return _member(address).tobytes()
    try:
        return Path(address).read_bytes()
    except OSError as error:
        raise CxrError(f"{address}: cannot be read ({error.strerror}); restore the file or run ingest again") from error


def read_film(address: str, content: bytes | None = None) -> Film:
    """Decode one film.

    Args:
        address: where the film is; its suffix decides the decoder.
        content: the film's bytes when they are at hand already.

    Raises:
        CxrError: the file is missing, empty, truncated or of an unknown format.
    """
    if "#" in address:
        return _from_array(address, _member(address), 8)
    content = read_bytes(address) if content is None else content
    if not content:
        raise CxrError(f"{address}: empty file; replace or remove it")
    if address.lower().endswith(DICOM_SUFFIXES):
        return _from_dicom(address, content)
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise CxrError(f"{address}: cannot be decoded as an image; replace or remove it")
    if pixels.ndim == 3 and pixels.shape[2] >= 3:
        pixels = cv2.cvtColor(pixels[..., :3], cv2.COLOR_BGR2RGB)
    return _from_array(address, np.asarray(pixels), 0)


def read_reduced(address: str, content: bytes, width: int, height: int, enough_px: int) -> Image:
    """Grey pixels of a film of (height, width), of which a longer side of `enough_px` pixels is enough.

    A JPEG film is decoded at a half, a quarter or an eighth of its size, which costs as much less; others are whole.
    """
    reduction = max((by for by in _REDUCED if max(width, height) >= by * enough_px), default=1)
    if reduction > 1 and address.lower().endswith(JPEG_SUFFIXES):
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), _REDUCED[reduction] | cv2.IMREAD_IGNORE_ORIENTATION)
        if pixels is not None:
            return np.asarray(pixels, np.uint8)
    return read_film(address, content).grey


def _from_array(address: str, pixels: np.ndarray[Any, Any], bits: int) -> Film:
    """A film from grey (height, width[, 1]) or RGB (height, width, 3) pixels; `bits` 0 = those of the type."""
    bits = bits or pixels.dtype.itemsize * 8
    if pixels.ndim == 3 and pixels.shape[2] == 3:
        pixels = _to_8_bit(pixels)
        red, green, blue = cv2.split(pixels)
        spread = cv2.subtract(cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue))
        if not spread.any():  # a grey film stored with three equal channels
            return Film(np.asarray(red, np.uint8), None, bits, 0.0, {})
        grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)
        return Film(grey, pixels, bits, float(np.mean(spread > MIN_COLOUR)), {})
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim != 2:
        raise CxrError(f"{address}: pixels of shape {pixels.shape}; expected grey, RGB or RGBA")
    return Film(_to_8_bit(pixels), None, bits, 0.0, {})


def _to_8_bit(pixels: np.ndarray[Any, Any]) -> Image:
    """Stretch 16-bit pixels over the range in use, because most hold 10 to 14 bits; 8-bit ones stay as they are."""
    return pixels if pixels.dtype == np.uint8 else stretch(pixels.astype(np.float32))


def stretch(values: np.ndarray[Any, np.dtype[np.float32]]) -> Image:
    """Scale values linearly to 0..255; constant input gives zeros."""
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return np.zeros(values.shape, np.uint8)
    return np.asarray(np.rint((values - low) * (255.0 / (high - low))), dtype=np.uint8)


def _from_dicom(address: str, content: bytes) -> Film:
    # Imported here: it costs each process half a second, and most cohorts have no DICOM.
    import pydicom
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

    try:
        dataset = pydicom.dcmread(io.BytesIO(content))
        pixels = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    except NotImplementedError as error:
        raise CxrError(f"{address}: no decoder for this transfer syntax ({error})") from error
    except Exception as error:  # pydicom and its plugins raise many types on damaged files
        raise CxrError(f"{address}: cannot be decoded as DICOM ({' '.join(str(error).split())})") from error
    photometric = str(dataset.get("PhotometricInterpretation", ""))
    bits = int(dataset.get("BitsStored", 8))
    if photometric not in ("MONOCHROME1", "MONOCHROME2") or pixels.ndim != 2:
        raise CxrError(
            f"{address}: {photometric or 'no photometric interpretation'} with {pixels.ndim} dimensions; "
            "expected one MONOCHROME1 or MONOCHROME2 film a file"
        )
    grey = stretch(pixels.astype(np.float32))
    names = {"view": "ViewPosition", "sex": "PatientSex", "age": "PatientAge"}
    header = {name: str(dataset.get(tag, "") or "") for name, tag in names.items()}
    return Film(255 - grey if photometric == "MONOCHROME1" else grey, None, bits, 0.0, header)


def _member(address: str) -> np.ndarray[Any, Any]:
    file, _, member = address.partition("#")
    split, _, index = member.partition("/")
    images = medmnist_array(file, f"{split}_images")
    return np.asarray(images[int(index)])


def medmnist_names(file: str) -> list[str]:
    """The arrays of a MedMNIST file: train_images, train_labels and so on."""
    with _open_npz(file) as arrays:
        return list(arrays)


@functools.lru_cache(maxsize=6)
def medmnist_array(file: str, name: str) -> np.ndarray[Any, Any]:
    """One array of a MedMNIST file, such as `train_images` (films, height, width[, 3]) or `train_labels` (films, 1)."""
    with _open_npz(file) as arrays:
        if name not in arrays:
            raise CxrError(f"{file}: no array '{name}'; a MedMNIST file has train_images, train_labels and so on")
        try:
            return np.asarray(arrays[name])
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise CxrError(f"{file}: array '{name}' cannot be read ({error}); download the file again") from error


def _open_npz(file: str) -> Any:
    try:
        arrays = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise CxrError(f"{file}: cannot be read as a MedMNIST .npz ({error}); download it again") from error
    if not isinstance(arrays, np.lib.npyio.NpzFile):
        raise CxrError(f"{file}: not a .npz archive; data.layout: medmnist needs one")
    return arrays
