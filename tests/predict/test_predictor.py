"""One film, from its bytes to a prediction."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from cxr.bundle.config import InferenceConfig
from cxr.core.errors import CxrError
from cxr.films.letterbox import Letterbox
from cxr.films.manifest import read_manifest
from cxr.films.read import Source, decode, decode_scaled, read_source
from cxr.models.classifier import load_classifier, score
from cxr.npz.films import read_index, read_npz
from cxr.predict.predictor import Predictor
from cxr.preprocess.prepare import prepare_film
from tests.bundles import ROOT, Project
from tests.conftest import phantom, write_dicom

HEAVY = ("torch", "sklearn", "pandas", "scipy", "matplotlib", "dvc", "joblib")


@pytest.fixture(scope="module")
def predictor(project: Project) -> Predictor:
    return Predictor.load(project.bundle)


def test_importing_the_predictor_imports_no_training_library() -> None:
    code = f"import cxr.predict.predictor, cxr.predict.overlay, sys; print([n for n in {HEAVY!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("which", ["project", "project_of_three"])
def test_a_raw_film_gives_the_results_of_the_stages(which: str, request: pytest.FixtureRequest) -> None:
    made: Project = request.getfixturevalue(which)
    predictor = Predictor.load(made.bundle)
    classifier = load_classifier(made.root / "models/classifier.ckpt")
    records, classes = read_manifest(made.root / "data/manifest.csv")
    files = {row.image_id: made.root / "data/npz" / row.file for row in read_index(made.root / "data/npz")}
    point = predictor.config.operating_point
    for record in records:
        answer, stored = predictor(made.root / record.path), read_npz(files[record.image_id])
        mask = cv2.imread(str(made.root / f"data/masks/{record.image_id}.png"), cv2.IMREAD_GRAYSCALE)
        assert np.array_equal(answer.mask, mask)
        assert np.array_equal(answer.image, stored.image)
        assert answer.crop_box == stored.crop_box
        expected = np.atleast_2d(point.probability(score(classifier, stored.image[None])))
        shown = list(answer.probabilities.values())[-expected.shape[1] :]
        assert shown == pytest.approx(list(expected.ravel()), abs=1e-4)
        if len(classes) == 3:
            assert answer.decision == classes[int(expected.argmax())]
        else:
            assert answer.decision == classes[int(expected[0, 0] >= 0.45)]


def test_probabilities_add_up_to_one(project_of_three: Project) -> None:
    answer = Predictor.load(project_of_three.bundle)(cv2.imencode(".png", phantom(3)[0])[1].tobytes())
    assert sum(answer.probabilities.values()) == pytest.approx(1)
    assert answer.probability == max(answer.probabilities.values())
    assert answer.threshold is None


def test_bytes_path_and_batch_give_the_same_prediction(predictor: Predictor, project: Project) -> None:
    paths = sorted((project.root / "films/test").rglob("*.*"))[:5]
    alone = [predictor(path) for path in paths]
    from_bytes = [predictor(path.read_bytes(), str(path)) for path in paths]
    together = predictor.answer([predictor.prepare(read_source(str(path))) for path in paths])
    for one, other, third in zip(alone, from_bytes, together, strict=True):
        assert one.name == other.name
        assert one.logits == other.logits
        assert one.logits == pytest.approx(third.logits, abs=1e-5)


def test_a_dicom_film_needs_no_suffix(predictor: Predictor, tmp_path: Path) -> None:
    film, _ = phantom(5, 320, 280)
    path = write_dicom(tmp_path / "film.dcm", film, bits=12)
    assert predictor(path.read_bytes(), "sent").image.any()


@pytest.mark.parametrize(
    ("film", "reason"),
    [
        (b"", "empty"),
        (b"no film at all", "cannot be decoded"),
        (cv2.imencode(".png", np.full((200, 200), 7, np.uint8))[1].tobytes(), "constant"),
        (cv2.imencode(".png", phantom(0, 60, 50)[0])[1].tobytes(), "tiny"),
    ],
)
def test_other_files_are_rejected_in_one_line_with_their_name(predictor: Predictor, film: bytes, reason: str) -> None:
    with pytest.raises(CxrError, match=reason) as raised:
        predictor(film, "a name")
    assert str(raised.value).startswith("a name: ")
    assert "\n" not in str(raised.value)


def test_the_version_depends_on_the_content(project: Project, project_of_three: Project) -> None:
    assert Predictor.load(project.bundle).version == Predictor.load(project.bundle).version
    assert Predictor.load(project.bundle).version != Predictor.load(project_of_three.bundle).version


def test_a_probability_has_its_observed_share_on_validation(predictor: Predictor) -> None:
    bins = predictor.config.probability_bins
    assert sum(one.films for one in bins) == 12

    def with_films(films: int) -> InferenceConfig:
        changed = tuple(one.model_copy(update={"films": films}) for one in bins)
        return predictor.config.model_copy(update={"probability_bins": changed})

    many = predictor.config.model_copy(
        update={"probability_bins": tuple(one.model_copy(update={"films": 50}) for one in bins)}
    )
    assert many.meaning_of(1.0) == f"of 50 validation films between 95% and 100%, {bins[-1].findings} were pneumonia"
    few = predictor.config.model_copy(
        update={"probability_bins": tuple(one.model_copy(update={"films": 2}) for one in bins)}
    )
    assert few.meaning_of(1.0) == ""


def test_a_bundle_that_does_not_say_how_it_resizes_uses_all_pixels_of_a_film(project: Project) -> None:
    predictor = Predictor.load(project.bundle)
    film = cv2.resize(phantom(1)[0], (1300, 900), interpolation=cv2.INTER_CUBIC)
    source = Source("film", cv2.imencode(".jpg", film)[1].tobytes())
    now = predictor(source.content)
    facts = predictor.config.model_dump()
    for step in facts["preparation"].values():
        assert step.pop("resizing") == "reduced"
    predictor.config = InferenceConfig.model_validate(facts)
    answer, pixels = predictor(source.content), predictor.config.pixels
    assert np.array_equal(answer.picture, Letterbox(1300, 900, 512).to_frame(decode_scaled(source, (1300, 900), 512)))
    image, _ = prepare_film(decode(source), answer.mask, pixels, source.film_hash)
    assert np.array_equal(answer.image, image)
    assert not np.array_equal(answer.image, now.image)
