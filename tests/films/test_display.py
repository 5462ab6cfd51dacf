"""Display attributes that faulty devices write never cost a film."""

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from benchmarks.bad_film_corpus import KINDS
from cxr.core.errors import CxrError
from cxr.films.display import is_usable
from cxr.films.film import Film, scale
from cxr.films.read import Source, decode, read_film
from tests.conftest import phantom, write_dicom

FILM = phantom(1)[0]
DEEP = FILM.astype(np.uint16) * 8 + 900  # 12 bits, from 900 to about 2500
WINDOW: dict[str, Any] = {"WindowCenter": "1700", "WindowWidth": "1600"}


def decoded(path: Path, texts: dict[str, str] | None = None, photometric: str = "MONOCHROME2", **tags: Any) -> Film:
    """The film of a 12-bit DICOM file with these attributes; `texts` are written as they are, numbers or not."""
    write_dicom(path, DEEP, 16, photometric, **tags)
    dataset = pydicom.dcmread(path)
    dataset.BitsStored, dataset.HighBit = 12, 11
    for keyword, text in (texts or {}).items():
        tag, value = Tag(keyword), text.encode() + b" " * (len(text) % 2)
        dataset[tag] = RawDataElement(tag, "DS", len(value), value, 0, False, True)
    dataset.save_as(path)
    return read_film(str(path))


def lut(entries: list[int], first: int = 0) -> Sequence:
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, 16]
    item.add_new("LUTData", "US", entries)
    return Sequence([item])


def no_lut() -> Sequence:
    item = Dataset()
    item.LUTExplanation = "NORMAL"
    return Sequence([item])


FAULTS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "empty slope": ({"RescaleSlope": "", "RescaleIntercept": "0"}, ["rescale: RescaleSlope is empty"]),
    "slope without intercept": ({"RescaleSlope": "1"}, ["rescale: RescaleIntercept is missing"]),
    "slope of zero": ({"RescaleSlope": "0", "RescaleIntercept": "5"}, ["rescale: leaves no usable range"]),
    "slope with a comma": (
        {"texts": {"RescaleSlope": "1,0", "RescaleIntercept": "0,0"}},
        ["rescale: RescaleSlope is not a number"],
    ),
    "infinite slope": (
        {"texts": {"RescaleSlope": "1e400", "RescaleIntercept": "0"}},
        ["rescale: RescaleSlope is not a number"],
    ),
    "modality table without data": ({"ModalityLUTSequence": no_lut()}, ["modality LUT: incomplete or damaged"]),
    "modality table of one value": ({"ModalityLUTSequence": lut([7] * 9)}, ["modality LUT: leaves no usable range"]),
    "empty window": ({"WindowCenter": "", "WindowWidth": ""}, ["window: WindowCenter is empty"]),
    "window without centre": ({"WindowWidth": "4096"}, ["window: WindowCenter is missing"]),
    "window of width 0": (WINDOW | {"WindowWidth": "0"}, ["window: width is zero or too small"]),
    "window of width 1": (WINDOW | {"WindowWidth": "1"}, ["window: leaves no usable range"]),
    "window of negative width": (WINDOW | {"WindowWidth": "-400"}, ["window: width is zero or too small"]),
    "window with a comma": (
        {"texts": {"WindowCenter": "1700,5", "WindowWidth": "1600,0"}},
        ["window: WindowCenter is not a number"],
    ),
    "window far below": ({"WindowCenter": "40", "WindowWidth": "80"}, ["window: leaves no usable range"]),
    "window far above": ({"WindowCenter": "60000", "WindowWidth": "80"}, ["window: leaves no usable range"]),
    "window with a few light pixels": (
        {"WindowCenter": "800", "WindowWidth": "700"},
        ["window: leaves no usable range"],
    ),
    "unknown function": (WINDOW | {"VOILUTFunction": "LINEAR_X"}, ["window: unknown VOILUTFunction"]),
    "empty function": (WINDOW | {"VOILUTFunction": ""}, ["window: unknown VOILUTFunction"]),
    "VOI table without data, no window": ({"VOILUTSequence": no_lut()}, ["VOI LUT: incomplete or damaged"]),
    "VOI table of another range": ({"VOILUTSequence": lut([0, 9, 99], 60000)}, ["VOI LUT: leaves no usable range"]),
    "padding limit without padding": ({"PixelPaddingRangeLimit": 4095}, []),
    "padding with an empty limit": ({"PixelPaddingValue": 0, "PixelPaddingRangeLimit": None}, []),
    "padding of all values": (
        {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 4095},
        ["padding: leaves no usable range"],
    ),
    "everything": (
        {
            "texts": {"RescaleSlope": "", "RescaleIntercept": "", "WindowCenter": "2,5", "WindowWidth": "0"},
            "VOILUTSequence": no_lut(),
        },
        [
            "rescale: RescaleSlope is empty",
            "VOI LUT: incomplete or damaged",
            "window: WindowCenter is not a number",
        ],
    ),
}


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_film_with_a_faulty_attribute_is_what_it_is_without(tmp_path: Path, fault: str, photometric: str) -> None:
    tags, skipped = FAULTS[fault]
    film = decoded(tmp_path / "a.dcm", photometric=photometric, **tags)
    assert list(film.skipped) == skipped
    assert np.array_equal(film.grey, decoded(tmp_path / "b.dcm", photometric=photometric).grey)


def test_a_sound_film_skips_nothing(tmp_path: Path) -> None:
    rescale = {"RescaleSlope": "2", "RescaleIntercept": "-5"}
    sound: tuple[dict[str, Any], ...] = ({}, WINDOW, WINDOW | {"VOILUTFunction": "SIGMOID"}, rescale)
    for tags in sound:
        assert decoded(tmp_path / "a.dcm", **tags).skipped == ()


def test_the_window_is_used_where_the_lookup_table_has_no_data(tmp_path: Path) -> None:
    narrow: dict[str, Any] = {"WindowCenter": "1500", "WindowWidth": "900"}
    film = decoded(tmp_path / "a.dcm", **narrow, VOILUTSequence=no_lut())
    assert film.skipped == ("VOI LUT: incomplete or damaged",)
    assert np.array_equal(film.grey, decoded(tmp_path / "b.dcm", **narrow).grey)
    assert not np.array_equal(film.grey, decoded(tmp_path / "c.dcm").grey)


def test_the_second_window_is_used_where_the_first_is_far_off(tmp_path: Path) -> None:
    film = decoded(tmp_path / "a.dcm", WindowCenter=["40", "1500"], WindowWidth=["80", "900"])
    assert film.skipped == ("window: leaves no usable range",)
    assert np.array_equal(film.grey, decoded(tmp_path / "b.dcm", WindowCenter="1500", WindowWidth="900").grey)


def test_the_window_is_used_on_stored_values_where_the_slope_is_empty(tmp_path: Path) -> None:
    narrow: dict[str, Any] = {"WindowCenter": "1500", "WindowWidth": "900"}
    film = decoded(tmp_path / "a.dcm", **narrow, RescaleSlope="", RescaleIntercept="")
    assert film.skipped == ("rescale: RescaleSlope is empty",)
    assert np.array_equal(film.grey, decoded(tmp_path / "b.dcm", **narrow).grey)


def test_a_film_of_one_value_stays_constant_whatever_its_window_says(tmp_path: Path) -> None:
    film = read_film(str(write_dicom(tmp_path / "a.dcm", np.full((90, 90), 7, np.uint16), 16, **WINDOW)))
    assert not film.grey.any()
    assert not is_usable(film.grey)


def test_no_reason_repeats_a_value_of_the_header(tmp_path: Path) -> None:
    texts = {"RescaleSlope": "KIM^MINSU", "RescaleIntercept": "KIM^MINSU", "WindowCenter": "KIM^MINSU"}
    film = decoded(tmp_path / "a.dcm", {**texts, "WindowWidth": "KIM^MINSU"}, VOILUTFunction="KIM^MINSU")
    assert len(film.skipped) == 2
    assert "KIM" not in " ".join(film.skipped)


def reference(content: bytes) -> np.ndarray:
    """The grey values by pydicom's own order, without any way around a faulty attribute."""
    dataset = pydicom.dcmread(pydicom.filebase.DicomBytesIO(content))
    stored = dataset.pixel_array
    padding = np.zeros(stored.shape, bool)
    if "PixelPaddingValue" in dataset:
        padding = stored == dataset.PixelPaddingValue
    values = apply_voi_lut(apply_modality_lut(stored, dataset), dataset)
    grey = scale(values.astype(np.float32), ~padding)
    grey = 255 - grey if dataset.PhotometricInterpretation == "MONOCHROME1" else grey
    return np.where(padding, 0, grey)


def test_films_with_sound_attributes_keep_their_grey_values(tmp_path: Path) -> None:
    compared = 0
    files = [file for kind, kind_files in KINDS.items() if "dicom" in kind.lower() for file in kind_files()]
    sound: list[dict[str, Any]] = [
        WINDOW,
        {"VOILUTSequence": lut(list(range(0, 40000, 10)))},
        {"PixelPaddingValue": 900},
    ]
    rescaled: list[dict[str, Any]] = [{}, {"RescaleSlope": "0.5", "RescaleIntercept": "700"}]
    for number, tags in enumerate(sound):
        for photometric in ("MONOCHROME1", "MONOCHROME2"):
            for rescale in rescaled:
                decoded(tmp_path / f"{number}.dcm", photometric=photometric, **tags, **rescale)
                files.append((f"{number}.dcm", (tmp_path / f"{number}.dcm").read_bytes()))
    for name, content in files:
        try:
            film = decode(Source(name, content))
        except CxrError:
            continue
        if content[128:132] == b"DICM":
            assert np.array_equal(film.grey, reference(content)), name
            compared += 1
    assert compared > 20
