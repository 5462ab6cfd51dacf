"""Stage evaluate: held-out films through network and clean-up, as the segment stage does it, then corrupted films."""

from dataclasses import replace

import numpy as np
import pandas as pd

from cxr.core.config import load_section
from cxr.core.files import atomic_folder, write_csv, write_json
from cxr.runtime.console import progress, run_stage
from cxr.segment.config import SegmentSection
from cxr.segment.lungs import lungs_in_frame
from cxr.segment.scores import mask_scores
from cxr.segment.segmenter import Segmenter
from segmenter.config import METRICS, PARAMS, PLOTS, WORK, EvaluateSection, PrepareSection, TrainSection
from segmenter.corrupted import CONDITIONS, Corrupt
from segmenter.export import TorchSegmenter
from segmenter.network import load_network
from segmenter.prepare import read_pair
from segmenter.table import Pair, read_pairs

FIGURES = ("dice", "iou", "hd95", "recall", "precision", "share_under_90", "share_under_80")


def main() -> None:
    """Write metrics/ (data sets, corrupted films, resolution, training), plots/history.csv and work/scores.csv."""
    section = load_section("evaluate", EvaluateSection, PARAMS)
    settings = load_section("segment", SegmentSection)
    frame_px = load_section("prepare", PrepareSection, PARAMS).frame_px
    inner_px = load_section("train", TrainSection, PARAMS).inner_px
    segmenter = TorchSegmenter(load_network(WORK / "lung_net.pt"), frame_px, inner_px)
    pairs = read_pairs(WORK / "films" / "pairs.csv")
    held_out = [pair for pair in pairs if pair.split == "test"]
    scores = score(segmenter, held_out, settings, CONDITIONS["none"], "held-out films")
    write_csv(WORK / "scores.csv", scores)
    with atomic_folder(METRICS) as folder:
        for name, rows in scores.groupby("dataset"):
            write_json(folder / f"{name}.json", dataset_figures(rows, section.bootstrap, section.seed))
        write_json(folder / "corrupted.json", corrupted_table(segmenter, held_out, settings, section.corrupted_films))
        write_json(folder / "resolution.json", resolution_table(segmenter, held_out, settings, section))
        write_json(folder / "training.json", training_figures(pairs))
    write_csv(PLOTS / "history.csv", pd.read_csv(WORK / "history.csv"))


def score(
    segmenter: Segmenter, pairs: list[Pair], settings: SegmentSection, corrupt: Corrupt, title: str
) -> pd.DataFrame:
    """One row a film: dataset, patient, film, dice, iou, hd95 (pixels of the frame), recall, precision, fallback.

    Recall is the share of the reference that was found, precision the share of what was found that the reference has.
    The lungs as found are scored, also where the segment stage would fall back to the whole film.
    """
    rows = []
    for pair in progress(pairs, len(pairs), title):
        original, true, frame = read_pair(pair, segmenter.frame_px)
        film, mask = corrupt(original, true)
        lungs = lungs_in_frame(film, frame, segmenter, settings)
        scores = mask_scores(lungs.found, mask)._asdict()
        overlap, reference, found = (int(np.count_nonzero(part)) for part in (lungs.found & mask, mask, lungs.found))
        shares = {"recall": overlap / max(1, reference), "precision": overlap / max(1, found)}
        facts = {"dataset": pair.dataset, "patient": pair.patient, "film": pair.film}
        rows.append({**facts, **scores, **shares, "fallback": bool(lungs.reason)})
    return pd.DataFrame(rows)


def dataset_figures(scores: pd.DataFrame, resamples: int, seed: int) -> dict[str, float]:
    """Means with `_low` and `_high` (95 % CI), the lowest Dice, and the counts.

    Whole patients are drawn again, because films of one patient are alike.

    Args:
        scores: one row a film: patient, dice, iou, hd95, recall, precision, fallback.
        resamples: of the patients, with replacement (percentile bootstrap).
        seed: of the resampling.
    """
    films = scores.assign(share_under_90=scores["dice"] < 0.9, share_under_80=scores["dice"] < 0.8)
    by_patient = films.groupby("patient", sort=True)
    sums = by_patient[list(FIGURES)].sum().to_numpy(float)
    counts = by_patient.size().to_numpy(float)
    draws = np.random.default_rng(seed).multinomial(len(counts), np.full(len(counts), 1 / len(counts)), resamples)
    means = (draws @ sums) / (draws @ counts)[:, None]
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    figures: dict[str, float] = {"films": len(films), "patients": len(counts)}
    for at, name in enumerate(FIGURES):
        mean = float(sums[:, at].sum() / counts.sum())
        figures |= {name: round(mean, 4), f"{name}_low": round(low[at], 4), f"{name}_high": round(high[at], 4)}
    return figures | {
        "dice_median": round(float(films["dice"].median()), 4),
        "dice_lowest": round(float(films["dice"].min()), 4),
        "fallbacks": int(films["fallback"].sum()),
    }


def corrupted_table(
    segmenter: Segmenter, pairs: list[Pair], settings: SegmentSection, films: int
) -> dict[str, dict[str, dict[str, float]]]:
    """Mean Dice, share of films under 0.80 and share of fallbacks, by data set and condition."""
    return {
        name: {
            condition: brief(score(segmenter, chosen, settings, corrupt, f"{name} {condition}"))
            for condition, corrupt in CONDITIONS.items()
        }
        for name, chosen in some_of_each(pairs, films).items()
    }


def resolution_table(
    segmenter: TorchSegmenter, pairs: list[Pair], settings: SegmentSection, section: EvaluateSection
) -> dict[str, dict[str, dict[str, float]]]:
    """The same figures by data set and resolution of the network, with the weights as they are."""
    return {
        name: {
            f"{px}_px": brief(
                score(replace(segmenter, inner_px=px), chosen, settings, CONDITIONS["none"], f"{name} {px} px")
            )
            for px in section.resolutions
        }
        for name, chosen in some_of_each(pairs, section.corrupted_films).items()
    }


def some_of_each(pairs: list[Pair], films: int) -> dict[str, list[Pair]]:
    """At most `films` pairs of each data set, spread evenly."""
    chosen = {}
    for name in sorted({pair.dataset for pair in pairs}):
        some = [pair for pair in pairs if pair.dataset == name]
        places = np.linspace(0, len(some) - 1, min(films, len(some)))
        chosen[name] = [some[int(place)] for place in places]
    return chosen


def brief(scores: pd.DataFrame) -> dict[str, float]:
    """Three figures of a table of scores."""
    return {
        "dice": round(float(scores["dice"].mean()), 4),
        "share_under_80": round(float((scores["dice"] < 0.8).mean()), 4),
        "fallback_share": round(float(scores["fallback"].mean()), 4),
    }


def training_figures(pairs: list[Pair]) -> dict[str, float]:
    """What the network was trained on."""
    screened = pd.read_csv(WORK / "screen.csv")
    return {
        "train_films": sum(pair.split == "train" for pair in pairs),
        "val_films": sum(pair.split == "val" for pair in pairs),
        "test_films": sum(pair.split == "test" for pair in pairs),
        "screened_films": len(screened),
        "left_out": int(screened["left_out"].sum()),
        "median_agreement": round(float(screened["dice"].median()), 4),
    }


if __name__ == "__main__":
    run_stage(main)
