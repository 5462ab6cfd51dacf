"""Films from DICOM files."""

import io

import numpy as np

from cxr.core.errors import CxrError
from cxr.films.film import Film, stretch

DICOM_SUFFIXES = (".dcm", ".dicom")
_HEADER = {"view": "ViewPosition", "sex": "PatientSex", "age": "PatientAge"}


def is_dicom(address: str, content: bytes) -> bool:
    """Whether a file is DICOM, by its first bytes or by its name."""
    return content[128:132] == b"DICM" or address.lower().endswith(DICOM_SUFFIXES)


def decode_dicom(address: str, content: bytes) -> Film:
    """The film of a DICOM file; raises CxrError when it is damaged, or not one grey picture."""
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
    header = {name: str(dataset.get(tag, "") or "") for name, tag in _HEADER.items()}
    return Film(255 - grey if photometric == "MONOCHROME1" else grey, None, bits, 0.0, header)


def dicom_tag(address: str, content: bytes, keyword: str) -> str:
    """The value of one attribute, such as PatientID; empty when the file lacks it.

    Raises:
        CxrError: the file is no readable DICOM.
    """
    import pydicom

    try:
        return str(pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True).get(keyword, "") or "")
    except Exception as error:  # as above
        raise CxrError(f"{address}: cannot be decoded as DICOM ({' '.join(str(error).split())})") from error
