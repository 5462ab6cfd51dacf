"""Does a last layer fitted again on balanced, bias-conflicting training films beat the trained one? A table to compare.

Each folder is the checkout of one fold of `python -m cxr crossfit default`, with data/npz, data/acquisition.csv,
data/masks.csv and models/classifier.ckpt. The backbone stays. On its training films alone, the linear head is fitted by
DFR (Kirichenko et al. 2023: logistic regression on subsets with as many films of each group; a group is a label and the
class that acquisition predicts) and by AFR (Qiu et al. 2023: the trained head moved by films weighted with
exp(-gamma × probability of their class)). The validation films are only scored.

    python -m benchmarks.last_layer studies/crossfit_chest_xray.csv FOLD0 FOLD1 FOLD2 FOLD3 FOLD4 --out heads.csv
    python -m cxr crossfit-metrics heads.csv
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupShuffleSplit

from cxr.acquisition.score import out_of_fold_logits
from cxr.acquisition.table import framing, read_acquisition
from cxr.core.files import write_csv
from cxr.models.classifier import Classifier, as_input, load_classifier
from cxr.npz.films import read_index, read_npz
from cxr.report.crossfit_table import read_crossfit
from cxr.segment.table import read_mask_table

Array = np.ndarray[Any, Any]
CLASSES = ("normal", "pneumonia")
SUBSETS = 20  # of DFR, averaged
STRENGTHS = (1.0, 0.7, 0.3, 0.1, 0.07, 0.03, 0.01)  # inverse penalties of DFR
GAMMAS, TIES = (4.0, 8.0, 12.0, 16.0, 20.0), (0.0, 0.1, 0.3)  # of AFR: steepness, pull towards the trained head
BATCH = 64


@dataclass(frozen=True)
class Films:
    """Pooled features (films, channels), averaged with the mirror images', and what is known of the films."""

    features: Array
    labels: Array
    groups: Array  # 2 × label + the class that acquisition predicts
    patients: Array
    image_ids: list[str]

    def at(self, chosen: Array) -> "Films":
        """Some of the films."""
        names = [self.image_ids[place] for place in np.arange(len(self.labels))[chosen]]
        return Films(self.features[chosen], self.labels[chosen], self.groups[chosen], self.patients[chosen], names)


@dataclass(frozen=True)
class Head:
    """A linear head: logit = features @ weights + bias."""

    weights: Array
    bias: float

    def __call__(self, features: Array) -> Array:
        """Logits (films,)."""
        return np.asarray(features @ self.weights + self.bias)


def main() -> None:
    """Write the table of cross-fitted predictions."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.last_layer", description=__doc__)
    parser.add_argument("table", type=Path, help="cross-fitted predictions of recipe default")
    parser.add_argument("folds", type=Path, nargs="+", help="checkouts of folds 0, 1, …")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = read_crossfit(options.table)
    table, parts = table[table["recipe"] == "default"], []
    for number, folder in enumerate(options.folds):
        train, scored, trained = measured(folder)
        rows = table[table["fold"] == number].set_index("image_id").loc[scored.image_ids].reset_index()
        apart = np.abs(trained(scored.features) - rows["logit"]).max()
        print(
            f"fold {number}: logits differ by at most {apart:.4f}; training films by group {np.bincount(train.groups)}"
        )
        for recipe, head in heads(train, trained).items():
            parts.append(rows.assign(recipe=recipe, logit=head(scored.features).round(4)))
    found = pd.concat(parts, ignore_index=True)
    order = {recipe: place for place, recipe in enumerate(found["recipe"].unique())}
    write_csv(options.out, found.sort_values("recipe", key=lambda names: names.map(order), kind="stable"))


def heads(train: Films, trained: Head) -> dict[str, Head]:
    """The trained head and those fitted again on the training films, by recipe."""
    return {
        "default": trained,
        "dfr_l1": tuned(train, STRENGTHS, lambda films, value: dfr(films, value, 1.0)),
        "dfr_l2": tuned(train, STRENGTHS, lambda films, value: dfr(films, value, 0.0)),
        "afr": tuned(
            train, [(one, tie) for one in GAMMAS for tie in TIES], lambda films, value: afr(films, value, trained)
        ),
    }


def measured(folder: Path) -> tuple[Films, Films, Head]:
    """Training and validation films of a fold, and its trained head."""
    classifier = load_classifier(folder / "models/classifier.ckpt")
    linear = classifier.head[1]
    head = Head(linear.weight.detach().numpy()[0].astype(np.float64), float(linear.bias.detach()))  # type: ignore[operator]
    statistics = read_acquisition(folder / "data/acquisition.csv").join(
        framing(read_mask_table(folder / "data/masks.csv"))
    )
    train, val = (_films(folder, classifier, statistics, split) for split in ("train", "val"))
    return train, val, head


def _films(folder: Path, classifier: Classifier, statistics: pd.DataFrame, split: str) -> Films:
    rows = [row for row in read_index(folder / "data/npz") if row.split == split]
    labels = np.array([CLASSES.index(row.label) for row in rows])
    patients = [row.patient_id for row in rows]
    features = []
    for start in range(0, len(rows), BATCH):
        films = [read_npz(folder / "data/npz" / row.file).image for row in rows[start : start + BATCH]]
        with torch.inference_mode():
            image = as_input(classifier, np.stack(films))
            pooled = [_pooled(classifier, one) for one in (image, image.flip(3))]
        features.append(np.mean(pooled, axis=0))
    ids = [row.image_id for row in rows]
    predicted = out_of_fold_logits(statistics.loc[ids].to_numpy(), labels, patients)[:, 1] > 0
    return Films(np.concatenate(features).astype(np.float64), labels, 2 * labels + predicted, np.array(patients), ids)


def _pooled(classifier: Classifier, image: torch.Tensor) -> Array:
    pooled = classifier.backbone.forward_head(classifier.feature_map(image), pre_logits=True)  # type: ignore[operator]
    return np.asarray(pooled.float().numpy())


def tuned(films: Films, values: Sequence[Any], fit: Callable[[Films, Any], Head]) -> Head:
    """The head of all films, with the value of the best worst-group accuracy on half of the patients."""
    first, second = next(GroupShuffleSplit(1, test_size=0.5, random_state=0).split(films.labels, groups=films.patients))
    known, held = films.at(first), films.at(second)
    worst = [min(_accuracy(fit(known, value), held.at(held.groups == group)) for group in range(4)) for value in values]
    best = values[int(np.argmax(worst))]
    print(f"  {best}: worst-group accuracy {max(worst):.3f} on held-out training films")
    return fit(films, best)


def _accuracy(head: Head, films: Films) -> float:
    return float(np.mean((head(films.features) > 0) == films.labels))


def dfr(films: Films, strength: float, l1: float) -> Head:
    """Mean head over group-balanced subsets, on standardised features."""
    rng = np.random.default_rng(0)
    mean, spread = films.features.mean(axis=0), films.features.std(axis=0) + 1e-6
    scaled, size = (films.features - mean) / spread, int(np.bincount(films.groups).min())
    heads = []
    for _ in range(SUBSETS):
        chosen = np.concatenate([rng.choice(np.flatnonzero(films.groups == group), size, False) for group in range(4)])
        model = LogisticRegression(C=strength, l1_ratio=l1, solver="liblinear", random_state=0)
        model.fit(scaled[chosen], films.labels[chosen])
        heads.append([*model.coef_[0], model.intercept_[0]])
    weights = np.mean(heads, axis=0)
    return Head(weights[:-1] / spread, float(weights[-1] - (mean / spread) @ weights[:-1]))


def afr(films: Films, settings: tuple[float, float], trained: Head) -> Head:
    """The trained head, fitted again with weights exp(-gamma × probability of the label), and tied to itself."""
    gamma, tie = settings
    sign = 2.0 * films.labels - 1
    weights = np.exp(-gamma * expit(sign * trained(films.features)))
    weights /= np.bincount(films.labels, weights)[films.labels] * 2
    design = np.column_stack([films.features, np.ones(len(sign))])
    start = np.append(trained.weights, trained.bias)

    def loss(head: Array) -> tuple[float, Array]:
        margin = sign * (design @ head)
        value = weights @ np.logaddexp(0, -margin) + tie * np.square(head - start).sum()
        return float(value), -design.T @ (weights * sign * expit(-margin)) + 2 * tie * (head - start)

    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500}).x
    return Head(found[:-1], float(found[-1]))


if __name__ == "__main__":
    main()
