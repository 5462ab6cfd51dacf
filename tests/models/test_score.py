import numpy as np
import pytest
import torch

from cxr.models.classifier import score
from tests.models.test_classifier import FILMS, classifier

STORED = FILMS.permute(0, 2, 3, 1).numpy()  # as an NPZ holds them


@pytest.mark.parametrize("classes", [("normal", "pneumonia"), ("normal", "bacterial", "viral")])
def test_stored_films_score_as_the_classifier_scores_their_tensor(classes: tuple[str, ...]) -> None:
    model = classifier(classes)
    with torch.no_grad():
        expected = model(FILMS).numpy()
    np.testing.assert_allclose(score(model, STORED), expected, atol=1e-5)


def test_the_score_of_a_film_does_not_depend_on_its_batch() -> None:
    model = classifier()
    np.testing.assert_allclose(score(model, STORED[1:2]), score(model, STORED)[1:2], atol=1e-5)
