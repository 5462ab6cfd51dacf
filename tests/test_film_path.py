"""One film from its bytes to its tensor: the stages and the functions that a predictor calls give the same."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from cxr.films.film import reduced
from cxr.films.manifest import read_manifest
from cxr.films.read import Source, decode, read_source
from cxr.ingest.config import DataSection
from cxr.ingest.ingest import ingest
from cxr.npz.films import NpzFilm, read_index, read_npz
from cxr.npz.preparation import Preparation, from_json
from cxr.preprocess.build import build_npz_set
from cxr.preprocess.config import PixelSection, PreprocessSection
from cxr.preprocess.prepare import prepare_film
from cxr.segment.config import SegmentSection
from cxr.segment.lungs import find_lungs
from cxr.segment.segment import segment_cohort
from cxr.segment.segmenter import load_segmenter, model_hash
from tests.conftest import phantom, write_dicom, write_image
from tests.segment.conftest import write_dark_is_lung
from tests.settings import machine, section, segmentation

MODEL, DATA = Path("models/lung_segmenter.onnx"), Path("data")
SEGMENT = segmentation()


@pytest.fixture(params=["crop of grey films", "whole films in colour"])
def stored(request: pytest.FixtureRequest, workspace: Path) -> dict[str, NpzFilm]:
    """Films of every kind, through ingest, segment and preprocess; by the path of the film."""
    in_colour = request.param == "whole films in colour"
    large = cv2.resize(phantom(1)[0], (1300, 900), interpolation=cv2.INTER_CUBIC)
    write_image(Path("films/normal/large.jpg"), large)  # the only one that is reduced
    write_image(Path("films/normal/small.png"), phantom(2)[0])
    write_image(Path("films/pneumonia/deep.png"), phantom(3)[0].astype(np.uint16) * 40)
    write_image(Path("films/pneumonia/blank.png"), 255 - phantom(5)[0] // 2)  # no lungs to find
    write_dicom(Path("films/pneumonia/inverted.dcm"), 255 - phantom(4)[0], 12, "MONOCHROME1")
    write_image(Path("films/normal/tinted.png"), np.dstack([phantom(6)[0]] * 2 + [phantom(6)[0] // 10 * 10]))
    write_dark_is_lung(MODEL)
    data = section(
        DataSection,
        masks_dir="none",
        path_pattern="none",
        root="films",
        layout="folders",
        classes=("normal", "pneumonia"),
        patient_from="image",
        val_fraction=0.4,
    )
    ingest(data, machine(workers=1), DATA)
    manifest, masks, one = DATA / "manifest.csv", DATA / "masks", machine(workers=1)
    segment = SEGMENT.model_copy(update={"seg_on_gray": not in_colour})
    segment_cohort(manifest, MODEL, masks, DATA / "masks.csv", segment, one)
    pixels = {"region": "none", "colour": "rgb", "clahe_probability": 0.5} if in_colour else {}
    build_npz_set(manifest, masks, DATA / "npz", section(PreprocessSection, **pixels), one)
    films = {row.image_id: read_npz(DATA / "npz" / row.file) for row in read_index(DATA / "npz")}
    return {record.path: films[record.image_id] for record in read_manifest(manifest)[0]}


def test_a_film_alone_gives_the_tensor_that_the_stages_stored(stored: dict[str, NpzFilm]) -> None:
    segmenter = load_segmenter(MODEL)
    assert len(stored) == 6
    for path, npz in stored.items():
        facts = from_json(npz.spec, Preparation, path)  # all that a predictor knows
        segment, pixels = SegmentSection(**facts.segment.settings), PixelSection(**facts.preprocess.settings)
        assert facts.segment.lung_model == model_hash(MODEL)
        source = Source("upload", read_source(path).content)  # its name is lost on the way
        assert (facts.segment.resizing, facts.preprocess.resizing) == ("reduced", "reduced")
        film = reduced(decode(source))
        lungs = find_lungs(film, segmenter, segment)
        image, box = prepare_film(film, lungs.mask, pixels, source.film_hash)
        np.testing.assert_array_equal(image, npz.image, err_msg=path)
        assert box == npz.crop_box


def test_the_films_of_this_test_take_every_way(stored: dict[str, NpzFilm]) -> None:
    """Without a fallback, a crop and a reduced film, the test above would say little."""
    segmenter = load_segmenter(MODEL)
    large, blank = (decode(read_source(f"films/{name}")) for name in ("normal/large.jpg", "pneumonia/blank.png"))
    assert find_lungs(reduced(blank), segmenter, SEGMENT).reason.endswith("too small")
    assert find_lungs(reduced(large), segmenter, SEGMENT).reason == ""
    assert (reduced(large).grey.shape, reduced(large).size) == ((354, 512), (1300, 900))
