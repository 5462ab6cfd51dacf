import numpy as np
import pytest

from cxr.segment.scores import mask_scores


def square(left: int, side: int = 40) -> np.ndarray:
    mask = np.zeros((100, 100), np.uint8)
    mask[30 : 30 + side, left : left + side] = 255
    return mask


def test_a_mask_agrees_wholly_with_itself() -> None:
    assert mask_scores(square(20), square(20)) == (1.0, 1.0, 0.0)


def test_scores_of_two_squares_that_overlap_by_half_match_the_definition() -> None:
    scores = mask_scores(square(20), square(40))
    assert scores.dice == pytest.approx(0.5)
    assert scores.iou == pytest.approx(1 / 3)
    assert scores.hd95 == pytest.approx(20.0)


def test_hd95_matches_a_brute_force_calculation() -> None:
    one, other = square(20), square(27, 30)
    borders = []
    for mask in (one, other):
        inside = mask > 0
        core = inside[1:-1, 1:-1] & inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
        core &= inside[:-2, :-2] & inside[:-2, 2:] & inside[2:, :-2] & inside[2:, 2:]
        border = inside.copy()
        border[1:-1, 1:-1] &= ~core
        borders.append(np.argwhere(border))
    apart = np.linalg.norm(borders[0][:, None] - borders[1][None], axis=2)
    expected = np.percentile(np.concatenate([apart.min(axis=1), apart.min(axis=0)]), 95)
    assert mask_scores(one, other).hd95 == pytest.approx(expected, abs=1e-4)


def test_an_empty_mask_is_as_far_away_as_the_frame_allows() -> None:
    empty = np.zeros((100, 100), np.uint8)
    assert mask_scores(empty, empty) == (1.0, 1.0, 0.0)
    assert mask_scores(empty, square(20)) == (0.0, 0.0, pytest.approx(np.hypot(100, 100)))
