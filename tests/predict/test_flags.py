"""Reliability flags and the overlay."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from cxr.bundle.config import BundleFlag
from cxr.bundle.population import Declared, Population
from cxr.films.read import Source
from cxr.predict.overlay import OUTLINE, heat_map, overlay, overlay_png
from cxr.predict.prediction import Flag
from cxr.predict.predictor import Predictor
from demo.anatomy import sample_anatomy, sample_pose
from demo.film import draw_film, sample_exposure
from tests.bundles import Project
from tests.conftest import phantom, write_dicom, write_image

CHILDREN = Population(age=(1, 5), views=(), description={})


@pytest.fixture(scope="module")
def predictor(project: Project) -> Predictor:
    return Predictor.load(project.bundle)


@pytest.fixture(scope="module")
def film() -> np.ndarray:
    """A synthetic film that resembles a real one."""
    rng = np.random.default_rng(4)
    anatomy = sample_anatomy(rng)
    drawn, _ = draw_film(anatomy, sample_pose(anatomy, rng), sample_exposure(rng), None, rng)
    return np.rint(drawn * 255).astype(np.uint8)


def codes(predictor: Predictor, film: np.ndarray) -> set[str]:
    png = cv2.imencode(".png", np.ascontiguousarray(film))[1].tobytes()
    return {flag.code for flag in predictor(png).flags} - {
        "out_of_distribution"
    }  # the classifier was trained on phantoms only


def test_an_upright_film_has_no_flag(predictor: Predictor, film: np.ndarray) -> None:
    assert codes(predictor, film) == set()


@pytest.mark.parametrize(
    ("code", "spoil"),
    [
        ("inverted", lambda film: 255 - film),
        ("turned_right", lambda film: np.rot90(film, 3)),
        ("turned_left", lambda film: np.rot90(film)),
        ("upside_down", lambda film: np.rot90(film, 2)),
    ],
)
def test_a_turned_or_inverted_film_is_flagged(predictor: Predictor, film: np.ndarray, code: str, spoil) -> None:  # type: ignore[no-untyped-def]
    assert code in codes(predictor, spoil(film))


@pytest.fixture(scope="module")
def for_children(project: Project) -> Predictor:
    predictor = Predictor.load(project.bundle)
    predictor.config = predictor.config.model_copy(update={"population": CHILDREN})
    return predictor


@pytest.mark.parametrize("where", ["header", "declared"])
def test_an_adult_is_flagged_first_by_a_bundle_for_children(
    for_children: Predictor, film: np.ndarray, where: str, tmp_path: Path
) -> None:
    path = write_dicom(tmp_path / "film.dcm", film, PatientAge="045Y") if where == "header" else tmp_path / "film.png"
    if where == "declared":
        write_image(path, 255 - film)  # inverted, which is a flag of its own
    found = for_children(path, declared=Declared("" if where == "header" else "45"))
    assert found.flags[0] == Flag(
        "outside_population", "outside the population of the bundle: age 45 years, meant for 1 to 5"
    )
    assert found.declared.shown["age"] == "45"


def test_a_film_of_unknown_age_is_not_outside_the_population(for_children: Predictor, film: np.ndarray) -> None:
    assert "outside_population" not in codes(for_children, film)


def test_noise_is_flagged_as_not_a_frontal_chest_film(predictor: Predictor) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 300), dtype=np.uint8)
    assert codes(predictor, noise) & {"not_frontal_chest", "lung_mask_failed"}


def test_a_mask_of_poor_quality_is_flagged_even_if_the_bundle_uses_it(
    predictor: Predictor, film: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictor, "segment_settings", predictor.segment_settings.model_copy(update={"min_quality": 0}))
    monkeypatch.setattr("cxr.segment.lungs.expected_dice", lambda *_: 0.6)
    answer = predictor(cv2.imencode(".png", film)[1].tobytes())
    assert [flag.text for flag in answer.flags if flag.code == "lung_mask_failed"] == [
        "lung mask failed: expected Dice 0.600"
    ]
    assert answer.expected_dice == 0.6
    assert 0.1 < (answer.mask > 0).mean() < 0.6  # the lungs, not the whole film


def test_a_film_smaller_than_the_classifiers_image_is_flagged(project: Project, predictor: Predictor) -> None:
    small = predictor(cv2.imencode(".png", phantom(0, 90, 64)[0])[1].tobytes())
    assert "low_resolution" not in {flag.code for flag in small.flags}  # 64 pixels are enough for this classifier
    config = predictor.config
    settings = config.preparation.preprocess.settings | {"image_px": 128}
    step = config.preparation.preprocess.model_copy(update={"settings": settings})
    preparation = config.preparation.model_copy(update={"preprocess": step})
    larger = Predictor(
        config.model_copy(update={"preparation": preparation}),
        predictor.segmenter, predictor.network, predictor.reference, predictor.version, predictor.card,
    )  # fmt: skip
    prepared = larger.prepare(Source("film", cv2.imencode(".png", phantom(0, 120, 90)[0])[1].tobytes()))
    assert "low_resolution" in {flag.code for flag in prepared.flags}


def test_training_films_are_in_distribution_and_other_pictures_are_not(predictor: Predictor, project: Project) -> None:
    train = sorted((project.root / "films/train").rglob("*.*"))
    near = [predictor(path).distance for path in train[:12]]
    stripes = np.tile(np.repeat(np.uint8([0, 255]), 10), (300, 15))
    far = predictor(cv2.imencode(".png", cv2.GaussianBlur(stripes, (0, 0), 2))[1].tobytes())
    assert np.median(near) < 1 < far.distance
    assert "out_of_distribution" in {flag.code for flag in far.flags}
    assert not far.reliable


def test_only_the_flags_that_the_bundle_lists_are_raised(
    predictor: Predictor, film: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    png = cv2.imencode(".png", np.ascontiguousarray(255 - film))[1].tobytes()
    assert "inverted" in {flag.code for flag in predictor(png).flags}
    flags = [flag for flag in predictor.config.flags if flag.code != "inverted"]
    flags.append(BundleFlag(code="lateral", condition="the film is a lateral view"))
    other = Predictor(
        predictor.config.model_copy(update={"flags": tuple(flags)}),
        predictor.segmenter, predictor.network, predictor.reference, predictor.version, predictor.card,
    )  # fmt: skip
    assert "inverted" not in {flag.code for flag in other(png).flags}
    assert "flags unknown to this version: lateral" in caplog.text


def test_the_overlay_shows_the_film_with_its_lungs_outlined(predictor: Predictor, project: Project) -> None:
    path = next(iter(sorted((project.root / "films/test").rglob("*.png"))))
    answer = predictor(path)
    plain, shown = overlay(answer, opacity=0), overlay(answer)
    height, width = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).shape
    assert shown.shape[1] / shown.shape[0] == pytest.approx(width / height, rel=0.01)
    outlined = (plain == OUTLINE).all(axis=2)
    assert 100 < outlined.sum() < 0.1 * outlined.size
    decoded = cv2.imdecode(np.frombuffer(overlay_png(answer), np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(decoded[..., ::-1], shown)


def test_the_heat_map_lies_inside_the_part_that_the_classifier_received(predictor: Predictor, project: Project) -> None:
    answers = [predictor(path) for path in sorted((project.root / "films/test").rglob("*.*"))]
    warm = [(answer, heat) for answer in answers if (heat := heat_map(answer)) is not None and heat.any()]
    assert warm
    for answer, heat in warm:
        assert heat.max() <= 1
        left, top, right, bottom = answer.frame.inner
        outside = heat.copy()
        outside[top:bottom, left:right] = 0
        assert not outside.any()
