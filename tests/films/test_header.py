import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from cxr.core.errors import CxrError
from cxr.films.read import Source, check_size, decode
from tests.conftest import phantom, write_dicom


def png_header(width: int, height: int) -> bytes:
    """A PNG with the declared size and almost no pixel data."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = {b"IHDR": header, b"IDAT": zlib.compress(bytes(100)), b"IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks.items()
    )


@pytest.mark.parametrize(("width", "height"), [(20_000, 20_000), (12_000, 9_000)])
def test_a_film_with_too_many_declared_pixels_is_rejected_before_it_is_decoded(width: int, height: int) -> None:
    with pytest.raises(CxrError, match=r"film\.png: more than 100 million pixels.*; scale"):
        check_size("film.png", png_header(width, height))


def test_a_film_of_usual_size_passes() -> None:
    buffer = io.BytesIO()
    Image.fromarray(phantom()[0]).save(buffer, "JPEG")
    check_size("film.jpg", buffer.getvalue())


def test_an_unreadable_header_passes_the_size_check() -> None:
    check_size("film.png", b"no film")


def test_the_size_of_a_dicom_film_counts_its_frames(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", np.zeros((100, 100), np.uint8))
    dataset = pydicom.dcmread(path)
    dataset.NumberOfFrames = 3
    dataset.save_as(path)
    content = path.read_bytes()
    check_size("a.dcm", content, max_pixels=30_000)
    with pytest.raises(CxrError, match="more than"):
        check_size("a.dcm", content, max_pixels=29_999)


def test_a_decompression_bomb_is_rejected_by_the_decoder() -> None:
    with pytest.raises(CxrError, match="more than 100 million pixels"):
        decode(Source("film.png", png_header(20_000, 20_000)))
