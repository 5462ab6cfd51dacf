"""A DICOM film in every transfer syntax that hospitals use, written by dcmtk, and by Pillow for JPEG 2000."""

import io
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from cxr.core.errors import CxrError
from cxr.films import dicom
from cxr.films.read import read_film
from tests.conftest import phantom, write_dicom

DEPTHS = (8, 10, 12, 14, 16)
PHOTOMETRIC = ("MONOCHROME1", "MONOCHROME2")
DCMTK = {
    JPEGLossless: ("dcmcjpeg", "+el"),
    JPEGLosslessSV1: ("dcmcjpeg", "+e1"),
    JPEGLSLossless: ("dcmcjpls", "+el"),
    RLELossless: ("dcmcrle",),
    DeflatedExplicitVRLittleEndian: ("dcmconv", "+td"),
    ExplicitVRBigEndian: ("dcmconv", "+tb"),
    ImplicitVRLittleEndian: ("dcmconv", "+ti"),
    JPEGBaseline8Bit: ("dcmcjpeg", "+eb"),
    JPEGExtended12Bit: ("dcmcjpeg", "+ee"),
    JPEGLSNearLossless: ("dcmcjpls", "+en", "+md", "1"),
}
LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000)
CASES = [
    (syntax, bits)
    for syntax in (*DCMTK, JPEG2000Lossless, JPEG2000)
    for bits in DEPTHS
    if bits == 8 or syntax not in (JPEGBaseline8Bit, JPEGExtended12Bit)
]


def stored_film(folder: Path, bits: int, photometric: str) -> Path:
    """A smooth film that uses all its bits, uncompressed."""
    smooth = cv2.GaussianBlur(phantom(1)[0].astype(np.float32), (0, 0), 3)
    deep = np.rint((smooth - smooth.min()) * ((2**bits - 1) / np.ptp(smooth)))
    return write_dicom(folder / "film.dcm", deep.astype(np.uint8 if bits == 8 else np.uint16), bits, photometric)


def compressed(film: Path, syntax: str) -> Path:
    path = film.with_name("compressed.dcm")
    if syntax in DCMTK:
        if shutil.which("dcmconv") is None:
            pytest.skip("not installed: dcmtk; apt-get install dcmtk")
        subprocess.run([*DCMTK[syntax], str(film), str(path)], check=True)
        return path
    dataset, stream = pydicom.dcmread(film), io.BytesIO()
    quality = {"irreversible": True, "quality_layers": [8]} if syntax == JPEG2000 else {"irreversible": False}
    Image.fromarray(dataset.pixel_array).save(stream, "JPEG2000", no_jp2=True, **quality)
    dataset.PixelData = encapsulate([stream.getvalue()])
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path)
    return path


@pytest.mark.parametrize("photometric", PHOTOMETRIC)
@pytest.mark.parametrize(("syntax", "bits"), CASES, ids=[f"{syntax.keyword}-{bits}" for syntax, bits in CASES])
def test_a_lossless_film_is_equal_and_a_lossy_one_differs_by_less_than_a_grey_level(
    tmp_path: Path, syntax: str, bits: int, photometric: str
) -> None:
    film = stored_film(tmp_path, bits, photometric)
    path = compressed(film, syntax)
    assert pydicom.dcmread(path).file_meta.TransferSyntaxUID == syntax
    expected, found = read_film(str(film)), read_film(str(path))
    assert found.bits == expected.bits == bits
    difference = np.abs(found.grey.astype(int) - expected.grey)
    assert difference.mean() < 1
    assert syntax in LOSSY or not difference.any()


def relabelled(tmp_path: Path, syntax: str, bits: int = 12) -> Path:
    """A film whose header claims a transfer syntax."""
    path = compressed(stored_film(tmp_path, bits, "MONOCHROME2"), JPEG2000Lossless)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path)
    return path


@pytest.mark.parametrize(
    ("syntax", "package"),
    [(JPEGExtended12Bit, r"pylibjpeg and pylibjpeg-libjpeg \(GPL\)"), (HTJ2K, "pylibjpeg and pylibjpeg-openjpeg")],
)
def test_the_error_for_an_unreadable_syntax_names_the_missing_package(
    tmp_path: Path, syntax: pydicom.uid.UID, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dicom, "_is_installed", lambda module: module == "gdcm")
    with pytest.raises(CxrError, match=rf"compressed\.dcm: pixels cannot .*; install {package}, or export it again"):
        read_film(str(relabelled(tmp_path, syntax)))


def test_without_gdcm_the_error_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom, "_is_installed", lambda module: False)
    with pytest.raises(CxrError, match=r"; install python-gdcm, or export it again"):
        read_film(str(relabelled(tmp_path, JPEGLSLossless)))


@pytest.mark.parametrize("syntax", [JPEGLSLossless, MPEG2MPML])
def test_where_no_package_helps_none_is_named(tmp_path: Path, syntax: pydicom.uid.UID) -> None:
    with pytest.raises(CxrError, match=r"pixels cannot be decoded \(.*\); export it again, uncompressed, or remove it"):
        read_film(str(relabelled(tmp_path, syntax)))
