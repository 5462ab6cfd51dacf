import numpy as np
import pandas as pd
import pytest

from cxr.films.letterbox import Letterbox
from cxr.segment.config import FIRST_QUALITY
from cxr.segment.segmenter import Probability
from segmenter.config import PrepareSection
from segmenter.corrupted import CONDITIONS
from segmenter.evaluate import corrupted_table, dataset_figures, score
from segmenter.prepare import find_pairs
from tests.conftest import phantom
from tests.settings import segmentation

FILM, MASK = phantom(2, 128, 128)


SETTINGS = segmentation(min_quality=0.0)


class DarkIsLung:
    """Finds what is dark inside a phantom."""

    frame_px = 128
    quality = FIRST_QUALITY

    def probability(self, frame: np.ndarray) -> Probability:
        return ((frame > 30) & (frame < 120)).astype(np.float32)


def table(dice: list[float], patients: list[str]) -> pd.DataFrame:
    ones = np.ones(len(dice))
    scores = dict.fromkeys(("iou", "hd95", "recall", "precision"), ones)
    return pd.DataFrame({"patient": patients, "dice": dice, **scores, "fallback": ones < 0})


def test_figures_count_films_and_patients_and_bad_films() -> None:
    figures = dataset_figures(table([0.99, 0.95, 0.85, 0.7], ["a", "a", "b", "c"]), 200, 0)
    assert (figures["films"], figures["patients"]) == (4, 3)
    assert figures["dice"] == pytest.approx(0.8725)
    assert (figures["share_under_90"], figures["share_under_80"]) == (0.5, 0.25)
    assert (figures["dice_lowest"], figures["fallbacks"]) == (0.7, 0)


def test_an_interval_encloses_the_mean_and_is_wider_when_films_come_in_patients() -> None:
    rng = np.random.default_rng(0)
    per_patient = np.repeat(rng.normal(0.9, 0.04, 30), 10)
    singly = dataset_figures(table(list(per_patient), [str(at) for at in range(300)]), 1000, 0)
    grouped = dataset_figures(table(list(per_patient), [str(at // 10) for at in range(300)]), 1000, 0)
    assert grouped["dice_low"] < grouped["dice"] < grouped["dice_high"]
    assert grouped["dice_high"] - grouped["dice_low"] > 2 * (singly["dice_high"] - singly["dice_low"])


def test_one_seed_gives_one_interval() -> None:
    scores = table([0.9, 0.8, 0.7], ["a", "b", "c"])
    assert dataset_figures(scores, 200, 3) == dataset_figures(scores, 200, 3)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_corrupted_film_keeps_shape_and_its_mask_stays_on_its_lungs(condition: str) -> None:
    film, mask = CONDITIONS[condition](FILM, MASK)
    assert film.shape == mask.shape == FILM.shape
    assert film.dtype == mask.dtype == np.uint8
    assert set(np.unique(mask)) == {0, 255}
    seen = film[mask > 0].astype(float)
    assert seen.mean() < film[(mask == 0) & (film > 30)].mean()


def test_lung_that_was_blacked_out_counts_neither_way() -> None:
    for condition in ("lower_half_black", "side_half_black"):
        film, mask = CONDITIONS[condition](FILM, MASK)
        assert not mask[film == 0].any()
        assert 0.35 < (mask > 0).sum() / (MASK > 0).sum() < 0.65


def test_squashing_keeps_the_height_and_takes_width() -> None:
    _, mask = CONDITIONS["squashed_0.7"](FILM, MASK)
    columns, rows = mask.any(axis=0).sum(), mask.any(axis=1).sum()
    assert rows == pytest.approx(MASK.any(axis=1).sum(), abs=2)
    assert columns == pytest.approx(0.7 * MASK.any(axis=0).sum(), abs=3)


def test_held_out_films_are_scored_in_the_frame_as_the_segment_stage_does(prepare: PrepareSection) -> None:
    adults = [pair for pair in find_pairs(prepare) if pair.dataset == "adult"]
    scores = score(DarkIsLung(), adults, SETTINGS, CONDITIONS["none"], "test")
    assert list(scores["patient"]) == ["adult/a0", "adult/a1", "adult/a2"]
    assert (scores["dice"] > 0.9).all()
    harmonic = 2 / (1 / scores["recall"] + 1 / scores["precision"])
    np.testing.assert_allclose(harmonic, scores["dice"])
    assert Letterbox(80, 100, 128).inner == (13, 0, 115, 128)


def test_the_corrupted_table_has_every_condition_for_every_data_set(prepare: PrepareSection) -> None:
    held_out = [pair for pair in find_pairs(prepare) if pair.split == "test"]
    figures = corrupted_table(DarkIsLung(), held_out, SETTINGS, films=2)
    assert set(figures) == {"adult", "child"}
    assert all(set(figures[name]) == set(CONDITIONS) for name in figures)
    assert figures["adult"]["none"]["dice"] > 0.9 > figures["adult"]["gamma_0.5"]["dice"]
