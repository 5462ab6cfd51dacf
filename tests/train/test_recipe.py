import pytest

from cxr.train.config import TrainSection
from cxr.train.recipe import (
    Row,
    batch_size,
    best_epoch,
    learning_rate,
    plateau_drops,
    score,
    selected_epoch,
    should_stop,
    steps_per_epoch,
)
from tests.settings import section


def rows(*aurocs: float, corrupted: float = 0.5, losses: tuple[float, ...] = ()) -> list[Row]:
    return [
        {
            "val_auroc": auroc,
            "corrupted_auroc": corrupted,
            "val_loss": losses[number] if losses else 1.0,
            "corrupted_loss": 1.0,
        }
        for number, auroc in enumerate(aurocs)
    ]


def settings(**values: object) -> TrainSection:
    return section(TrainSection, **{"monitor": "val_auroc", "keep": "best", "patience": 10, **values})


def test_monitor_is_validation_or_corrupted_or_their_mean_and_a_loss_counts_downwards() -> None:
    row = rows(0.9, corrupted=0.7)[0]
    assert score(row, "val_auroc") == 0.9
    assert score(row, "corrupted_auroc") == 0.7
    assert score(row, "mean_auroc") == pytest.approx(0.8)
    assert score(row, "val_loss") == -1.0
    assert score({**row, "swapped_auroc": 0.5}, "mean_auroc") == pytest.approx(0.7)


def test_the_best_epoch_is_the_highest_and_a_tie_goes_to_the_lower_loss_then_to_the_first() -> None:
    assert best_epoch(rows(0.8, 0.95, 0.9), "val_auroc") == 1
    assert best_epoch(rows(1.0, 1.0, 1.0, losses=(0.3, 0.1, 0.2)), "val_auroc") == 1
    assert best_epoch(rows(1.0, 1.0), "val_auroc") == 0


def test_training_stops_after_patience_epochs_without_a_better_one_or_after_all_epochs() -> None:
    waiting = settings(epochs=10, patience=2)
    assert not should_stop([], waiting)
    assert not should_stop(rows(0.8, 0.9, 0.85), waiting)
    assert should_stop(rows(0.8, 0.9, 0.85, 0.9), waiting)
    assert should_stop(rows(*(0.5 + 0.01 * number for number in range(10))), waiting)


def test_the_learning_rate_drops_when_the_metric_stands_still() -> None:
    plateau = settings(schedule="plateau", lr=1e-3, warmup=0, plateau_patience=2, plateau_factor=0.1)
    still = rows(0.9, 0.8, 0.8, 0.8, 0.8)
    assert [plateau_drops(still[:length], plateau) for length in range(6)] == [0, 0, 0, 1, 1, 2]
    assert learning_rate(5, still, plateau) == pytest.approx(1e-5)
    assert plateau_drops(rows(0.5, 0.6, 0.7, 0.8), plateau) == 0


def test_cosine_rises_in_warm_up_and_falls_to_zero() -> None:
    cosine = settings(schedule="cosine", lr=1e-3, warmup=1 / 6, epochs=12)
    assert learning_rate(0, [], cosine) < 1e-5
    assert learning_rate(1, [], cosine) == pytest.approx(5e-4, rel=0.02)
    assert learning_rate(2, [], cosine) == pytest.approx(1e-3)
    assert learning_rate(7, [], cosine) == pytest.approx(5e-4)
    assert learning_rate(12, [], cosine) == pytest.approx(0, abs=1e-12)


def test_the_last_epoch_is_kept_and_none_is_waited_for_when_the_run_anneals_to_the_end() -> None:
    last = settings(keep="last", patience=0, epochs=4)
    falling = rows(0.9, 0.8, 0.7)
    assert selected_epoch(falling, last) == 2
    assert selected_epoch(falling, settings()) == 0
    assert not should_stop(falling, last)
    assert should_stop(rows(0.9, 0.8, 0.7, 0.6), last)
    with pytest.raises(ValueError, match=r"patience would stop before .*set it to 0"):
        settings(keep="last", patience=3)


def test_sizes_of_a_run_follow_the_number_of_films() -> None:
    rule = settings(epochs=7, batch=32, min_steps=150, accumulate=1)
    assert steps_per_epoch(4_170, rule) == 130  # every film once
    assert steps_per_epoch(24_000, rule) == 750
    assert steps_per_epoch(115, rule) == 22  # films of a small cohort come several times
    assert steps_per_epoch(20, rule) == 22  # fewer than a batch


def test_few_films_are_trained_on_in_small_steps_unless_the_batch_is_given() -> None:
    assert [batch_size(films, settings(batch="auto")) for films in (330, 999, 1000, 30_000)] == [16, 16, 32, 32]
    assert batch_size(330, settings(batch=64)) == 64
    assert steps_per_epoch(800, settings(epochs=2, batch="auto", min_steps=0)) == 50
