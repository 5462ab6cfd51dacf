"""What calibrated probabilities meant on validation films."""

from pathlib import Path

import numpy as np

from cxr.bundle.config import Bin
from cxr.evaluate.operating_point import OperatingPoint
from cxr.evaluate.predictions import LOGIT, labels, read_predictions, scores

EDGES = np.array([0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 1.0])  # narrow where films of a good classifier lie


def meaning(predictions: Path, point: OperatingPoint) -> tuple[Bin, ...]:
    """Films and findings of the validation set by calibrated probability; none for three or more classes.

    Raises:
        CxrError: the table of predictions is missing or of another classifier's classes.
    """
    if len(point.classes) > 2:
        return ()
    table = read_predictions(predictions)
    films = table[table["split"] == "val"]
    probability = point.probability(scores(films, LOGIT, point.classes))
    finding = labels(films, point.classes)
    member = np.minimum(np.searchsorted(EDGES, probability, side="right") - 1, len(EDGES) - 2)
    return tuple(
        Bin(
            low=float(EDGES[at]),
            high=float(EDGES[at + 1]),
            films=int((member == at).sum()),
            findings=int(finding[member == at].sum()),
        )
        for at in range(len(EDGES) - 1)
    )
