"""DICOM objects of this program are recognised, and other objects are not mistaken for them."""

from pathlib import Path

import pytest

from cxr.films.read import read_source
from cxr.predict.own import OwnObject, reject_own_object
from tests.conftest import phantom, write_dicom

CAPTURE, CR = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.1"
SERIES = "cxr-pneumonia overlay (research use only)"


@pytest.mark.parametrize(
    "tags",
    [
        {"Manufacturer": "cxr-pneumonia"},
        {"SOPClassUID": CAPTURE, "SeriesDescription": SERIES},  # an archive may remove the manufacturer
    ],
)
def test_an_object_of_this_program_is_recognised(tmp_path: Path, tags: dict[str, str]) -> None:
    path = write_dicom(tmp_path / "a", phantom()[0], **tags)
    with pytest.raises(OwnObject, match=rf"^{path}: a result of this program, not a film; remove it"):
        reject_own_object(read_source(str(path)))


@pytest.mark.parametrize(
    "tags",
    [
        {"Manufacturer": "another"},
        {"SOPClassUID": CAPTURE, "SeriesDescription": "cxr-pneumonias"},
        {"SOPClassUID": CR, "SeriesDescription": SERIES},
    ],
)
def test_a_film_passes(tmp_path: Path, tags: dict[str, str]) -> None:
    reject_own_object(read_source(str(write_dicom(tmp_path / "a.dcm", phantom()[0], **tags))))


def test_a_damaged_header_passes_to_the_decoder(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"no film")
    reject_own_object(read_source(str(tmp_path / "a.dcm")))
