"""A fake predictor for tests of the service, without a network."""

from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from cxr.bundle.population import NOTHING, Declared, Population
from cxr.core.errors import CxrError
from cxr.films.letterbox import Letterbox
from cxr.predict.prediction import Flag, Prediction
from tests.conftest import phantom

POPULATION = Population(age=(1, 5), views=("AP",), description={})
OUT_OF_DISTRIBUTION = Flag("out_of_distribution", "out of distribution: 1.20 × threshold")


class FakePredictor:
    """Predicts pneumonia for a bright film, flags dark ones, and rejects what is no picture."""

    version = "0123456789abcdef"
    card = "# Card"
    config = SimpleNamespace(classes=("normal", "pneumonia"), backbone="none", population=POPULATION)

    def __call__(self, film: bytes, name: str = "", declared: Declared = NOTHING) -> Prediction:
        grey = cv2.imdecode(np.frombuffer(film, np.uint8), cv2.IMREAD_GRAYSCALE)
        if grey is None:
            raise CxrError(f"{name}: cannot be decoded as an image; replace or remove it")
        height, width = grey.shape
        frame, probability = Letterbox(width, height, 512), float(grey.mean() / 255)
        mask = frame.to_frame(np.where(grey < 100, 255, 0).astype(np.uint8))
        return Prediction(
            name=name,
            film_hash="0" * 32,
            frame=frame,
            picture=frame.to_frame(grey),
            mask=mask,
            image=np.zeros((224, 224, 4), np.uint8),
            crop_box=(0, 0, width, height),
            stored=Letterbox(width, height, 224),
            lung_area=0.3,
            expected_dice=0.95,
            logits=(0.0,),
            probabilities={"normal": 1 - probability, "pneumonia": probability},
            probability=probability,
            decision="pneumonia" if probability >= 0.5 else "normal",
            threshold=0.5,
            distance=1.2,
            meaning="Of 100 validation films with such a probability, 41 had pneumonia.",
            flags=() if probability >= 0.5 else (OUT_OF_DISTRIBUTION,),
            declared=declared,
            activation=np.linspace(-1, 1, 49, dtype=np.float32).reshape(7, 7),
        )


@pytest.fixture
def fake() -> Any:
    return FakePredictor()


@pytest.fixture
def png() -> bytes:
    """A dark film as PNG."""
    ok, encoded = cv2.imencode(".png", phantom()[0] // 2)
    assert ok
    return encoded.tobytes()
