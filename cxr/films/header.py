"""What a film's header says of its size, read before a pixel is decoded: the guard against decompression bombs."""

import io
import warnings

from cxr.core.errors import CxrError
from cxr.films.dicom import is_dicom, parse_dicom

MAX_PIXELS = 100_000_000  # the largest detectors have some 20 million


def check_size(address: str, content: bytes, max_pixels: int = MAX_PIXELS) -> None:
    """Refuse a film whose header declares more than `max_pixels` pixels; nothing is decoded.

    A header that cannot be read is left to the decoder, which names the fault.

    Raises:
        CxrError: the film is too large.
    """
    pixels = _dicom_pixels(content) if is_dicom(address, content) else _image_pixels(content)
    if pixels > max_pixels:
        raise CxrError(
            f"{address}: its header declares more than {max_pixels // 10**6} million pixels; scale the film down"
        )


def _image_pixels(content: bytes) -> float:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large pictures and of damaged tags
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
