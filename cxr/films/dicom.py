"""DICOM files: decoding, allowed header attributes, and rejection by header."""

import functools
import importlib.util
import io
import logging
import re
import warnings
from typing import Any

import numpy as np

from cxr.core.errors import CxrError
from cxr.films.display import displayed
from cxr.films.film import Film, NotAChestFilm
from cxr.films.header import VIEWS, not_a_chest_film

DICOM_SUFFIXES = (".dcm", ".dicom")
_PHOTOMETRIC = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_NEEDED = ("Rows", "Columns", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "PixelRepresentation")
_UNCOMPRESSED = ("Implicit VR Little Endian", "Explicit VR Little Endian", "Explicit VR Big Endian")
# Transfer syntaxes that python-gdcm cannot read, in any or in every depth; the package that can, and its module.
_OTHER_DECODERS = {
    "1.2.840.10008.1.2.4.51": ("pylibjpeg and pylibjpeg-libjpeg (GPL)", "libjpeg"),  # more than 8 bits
    **dict.fromkeys(
        (f"1.2.840.10008.1.2.4.{kind}" for kind in (201, 202, 203)), ("pylibjpeg and pylibjpeg-openjpeg", "openjpeg")
    ),
}
# The attributes that may reach an output, and their allowed values. Other values are left blank, because free text may
# identify a person. DICOM PS3.3 C.8.7.1 and C.7.1.1, PS3.5 6.2 (AS).
_HEADER = {
    "view": ("ViewPosition", "|".join(VIEWS)),
    "sex": ("PatientSex", r"[MFO]"),
    "age": ("PatientAge", r"\d{3}[DWMY]|\d{1,3}"),  # some files have years without the Y
}


def is_dicom(address: str, content: bytes) -> bool:
    """Whether a file is DICOM, judged by its first bytes or its suffix."""
    return content[128:132] == b"DICM" or address.lower().endswith(DICOM_SUFFIXES)


def parse_dicom(content: bytes, stop_before_pixels: bool = False) -> Any:
    """The data set of a DICOM file; a damaged file raises one of many types of pydicom."""
    return _pydicom().dcmread(io.BytesIO(content), stop_before_pixels=stop_before_pixels)


@functools.cache
def _pydicom() -> Any:
    """pydicom without its warnings, which quote header values.

    Imported here, because the import takes half a second per process, and most cohorts have no DICOM.
    """
    import pydicom

    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module=r"pydicom\b")
    return pydicom


def decode_dicom(address: str, content: bytes) -> Film:
    """The film of a DICOM file, scaled by its display attributes, or else over the range of its grey values.

    Raises:
        NotAChestFilm: by its header it is not a frontal chest film; its pixels are not decoded.
        CxrError: it is damaged, or not a single grey image.
    """
    try:
        dataset = parse_dicom(content)
        reason = not_a_chest_film(*(_text(dataset, tag) for tag in ("Modality", "BodyPartExamined", "ViewPosition")))
        photometric, bits = _text(dataset, "PhotometricInterpretation"), int(dataset.get("BitsStored", 8))
        header = {name: _allowed(dataset, *rule) for name, rule in _HEADER.items()}
        burned_in = _text(dataset, "BurnedInAnnotation").strip().upper() == "YES"
    except Exception as error:  # pydicom raises many types on damaged files
        raise _damaged(address, error) from error
    if reason:
        raise NotAChestFilm(f"{address}: {reason}")
    try:
        stored = dataset.pixel_array
    except Exception as error:  # pydicom's plugins, too
        fault, again = _pixel_fault(dataset, error)
        remedy = f"{_remedy(dataset)}export it again{again}, or remove it"
        raise CxrError(f"{address}: pixels cannot be decoded ({fault}); {remedy}") from error
    known = photometric if photometric in _PHOTOMETRIC else "no known photometric interpretation"
    if photometric not in ("MONOCHROME1", "MONOCHROME2") or stored.ndim != 2:
        raise CxrError(
            f"{address}: {known} with {stored.ndim} dimensions, not a single MONOCHROME1 or MONOCHROME2 film; "
            "export each film alone and in grey, or remove it"
        )
    grey, padding, skipped = displayed(stored, dataset)
    if photometric == "MONOCHROME1":
        grey = np.asarray(255 - grey, np.uint8)
    if padding is not None:
        grey[padding] = 0
    return Film(grey, None, bits, 0.0, header, burned_in, skipped)


def _text(dataset: Any, keyword: str) -> str:
    return str(dataset.get(keyword, "") or "")


def _allowed(dataset: Any, keyword: str, pattern: str) -> str:
    value = _text(dataset, keyword).strip()
    return value if re.fullmatch(pattern, value.upper()) else ""


def _pixel_fault(dataset: Any, error: Exception) -> tuple[str, str]:
    """Why pixels cannot be decoded, and how to export them."""
    if not any(keyword in dataset for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        return "no pixel data", ""
    missing = [keyword for keyword in _NEEDED if keyword not in dataset]
    if missing:
        return f"the header lacks {' and '.join(missing)}", ""
    syntax = _transfer_syntax(dataset)
    return f"{type(error).__name__}, {syntax}", "" if syntax in _UNCOMPRESSED else ", uncompressed"


def _remedy(dataset: Any) -> str:
    """The package to install for the transfer syntax, as the beginning of a remedy; empty where none would help."""
    syntax: Any = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", "")
    package, module = _OTHER_DECODERS.get(str(syntax), ("python-gdcm", "gdcm"))
    needed = module != "gdcm" or (getattr(syntax, "is_transfer_syntax", False) and syntax.is_compressed)
    return f"install {package}, or " if needed and not _is_installed(module) else ""


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _transfer_syntax(dataset: Any) -> str:
    """The standard name of the transfer syntax; text from the file itself may identify a person."""
    uid = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", "")
    name = str(getattr(uid, "name", uid))
    return name if name != uid else "unknown transfer syntax"


def _damaged(address: str, error: Exception) -> CxrError:
    """An error with the type of the exception only: its text may quote the header."""
    fault = "no DICOM header" if type(error).__name__ == "InvalidDicomError" else type(error).__name__
    return CxrError(f"{address}: cannot be decoded as DICOM ({fault}); export it again or remove it")


def dicom_tag(address: str, content: bytes, keyword: str) -> str:
    """The value of one attribute, such as PatientID; empty when the file lacks it.

    Raises:
        CxrError: the file is not readable as DICOM.
    """
    try:
        return _text(parse_dicom(content, stop_before_pixels=True), keyword)
    except Exception as error:  # pydicom raises many types on damaged files
        raise _damaged(address, error) from error
