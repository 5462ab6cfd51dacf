"""The baseline that a network must beat: logistic regression on HOG and grey-level histogram features.

The same on films whose lungs are painted over, in training too, says how much of the label needs no look at the lungs.
"""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from cxr.compute.settings import Compute
from cxr.evaluate.arrays import Floats
from cxr.evaluate.hog import features_of, features_without_lungs
from cxr.evaluate.inference import NpzSet
from cxr.parallel.map_films import map_films

STRENGTH = 0.01  # inverse of the L2 penalty, fixed beforehand for standardised features, tuned on nothing


def baseline_logits(
    films: NpzSet, classes: tuple[str, ...], ids: list[str], compute: Compute, lungs: bool = True
) -> Floats | None:
    """Fit on the training films and score the films `ids`: (films,) for two classes, (films, classes) for more.

    Without `lungs`, these are painted over on all of them.

    Returns:
        None where the training films lack a class.
    """
    training, wanted = films.split("train"), set(ids)
    scored = NpzSet(films.folder, [row for row in films.rows if row.image_id in wanted and row.split != "train"])
    if {row.label for row in training.rows} != set(classes):
        return None
    both = NpzSet(films.folder, [*training.rows, *scored.rows])
    paths = [both.folder / row.file for row in both.rows]
    compute_features = features_of if lungs else features_without_lungs
    table = np.stack(list(map_films(compute_features, paths, compute, "baseline features")))
    label = [classes.index(row.label) for row in training.rows]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=500))
    with threadpool_limits(1):  # the order of additions, and so the last digits, depend on the number of threads
        model.fit(table[: len(label)], label)
        values = np.asarray(model.decision_function(table[len(label) :]))
    place = {row.image_id: index for index, row in enumerate(scored.rows)}
    return np.asarray(values[[place[name] for name in ids]])
