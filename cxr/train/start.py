"""The classifier that a run begins with."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from cxr.core.errors import CxrError
from cxr.core.files import write_json
from cxr.models.classifier import Classifier, new_classifier
from cxr.models.weights import load_weights
from cxr.train.config import TrainSection
from cxr.train.films import FilmSet


def start_classifier(settings: TrainSection, films: FilmSet, provenance: dict[str, Any], folder: Path) -> Classifier:
    """A classifier with its pretrained weights and with all the facts that travel in its checkpoint."""
    classifier = new_classifier(
        settings.backbone, films.classes, films.image_px, settings.mask_channel, settings.dropout, settings.mirror
    )
    if settings.mean != "auto" and settings.std != "auto":
        classifier.normalise(settings.mean, settings.std)
    report = load_weights(classifier.backbone, settings.backbone, settings.weights, settings.min_loaded)
    _check_image_size(classifier, films.image_px)
    write_json(folder / "weights.json", asdict(report))
    classifier.facts |= {
        "npz_spec": films.spec,
        "films": {split: dict(zip(films.classes, films.counts(split), strict=True)) for split in ("train", "val")},
        "weights": {"source": report.source, "share": report.share},
        "train": settings.model_dump(),
        "provenance": provenance,
    }
    return classifier


@torch.no_grad()
def _check_image_size(classifier: Classifier, px: int) -> None:
    """Some backbones take pictures of one size only, and say so in an assertion of their own."""
    name = classifier.facts["backbone"]
    try:
        classifier.eval()(torch.zeros(1, 4, px, px, dtype=torch.uint8))
    except (AssertionError, RuntimeError, ValueError) as error:
        why = " ".join(str(error).split())[:160]
        raise CxrError(
            f"train.backbone: {name!r} cannot take films of {px} pixels ({why}); change preprocess.image_px, or take "
            "another backbone"
        ) from error
    classifier.train()
