"""Assemble a bundle, and the archive of it."""

import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cxr.bundle.config import FLAGS, InferenceConfig, Ood, write_config
from cxr.bundle.files import (
    CARD,
    CLASSIFIER,
    CONFIG,
    LICENCES,
    PROVENANCE,
    REFERENCE,
    SBOM,
    SCRIPT,
    SEGMENTER,
    write_archive,
    write_sums,
)
from cxr.bundle.network import load_network
from cxr.bundle.reference import write_reference
from cxr.core.errors import CxrError
from cxr.core.files import atomic_folder, digest, write_bytes, write_json, write_text
from cxr.decision.operating_point import OperatingPoint, read_operating_point
from cxr.models.classifier import Classifier, Images, load_classifier, score
from cxr.npz.films import NpzRow, read_index, read_npz
from cxr.npz.preparation import Preparation, from_json
from cxr.package.config import PackageSection
from cxr.package.documents import model_card, write_licences, write_sbom
from cxr.package.export import (
    ONNX_TOLERANCE,
    SCRIPT_TOLERANCE,
    ServedClassifier,
    check_onnx,
    check_script,
    to_onnx,
    to_torchscript,
)
from cxr.package.reference import fit_reference, probability_bins
from cxr.segment.segmenter import model_hash

log = logging.getLogger(__name__)
PARITY_FILMS = 100


@dataclass(frozen=True)
class Places:
    """Input paths of a bundle."""

    classifier: Path
    operating_point: Path
    npz: Path
    acquisition: Path  # statistics of the films, by ingest
    segmenter: Path
    metrics: Path  # folder with predictions.csv and details/performance.json
    licence: Path  # of this repository
    requirements: Path  # the pinned packages that serving needs


def build_bundle(places: Places, section: PackageSection, folder: Path, archive: Path) -> None:
    """Write the bundle and its archive; both are replaced as a whole, at the end.

    Raises:
        CxrError: operating point, lung segmenter or films are of another run, or the exported network does
            not agree with PyTorch.
    """
    classifier = load_classifier(places.classifier)
    point = read_operating_point(places.operating_point, classifier.fingerprint)
    rows = read_index(places.npz)
    preparation = _preparation(places, rows)
    with atomic_folder(folder) as bundle:
        parity = _write_networks(bundle, classifier, _parity_films(places.npz, rows), section)
        network = load_network(bundle / CLASSIFIER, portable=True)
        reference, ood = fit_reference(network, places.npz, rows, places.acquisition, section.ood_quantile)
        write_reference(bundle / REFERENCE, reference)
        config = _config(classifier, preparation, point, ood, places, section)
        write_config(bundle / CONFIG, config)
        shutil.copyfile(places.segmenter, bundle / SEGMENTER)
        facts = _provenance(classifier, rows, section, parity)
        write_json(bundle / PROVENANCE, facts)
        performance = json.loads((places.metrics / "details/performance.json").read_text(encoding="utf-8"))
        write_text(bundle / CARD, model_card(config, reference, facts, performance))
        source, backbone = str(facts["weights"].get("source", "unknown")), classifier.facts["backbone"]
        write_licences(bundle / LICENCES, places.licence, source, backbone)
        networks = [bundle / name for name in (CLASSIFIER, SCRIPT, SEGMENTER)]
        networks = [path for path in networks if path.is_file()]
        write_sbom(bundle / SBOM, classifier.fingerprint, networks, places.requirements)
        write_sums(bundle)
    write_archive(folder, archive)
    log.info("%s: %.1f MB; %s: %.1f MB", folder, _mb(*folder.rglob("*")), archive, _mb(archive))


def _write_networks(bundle: Path, classifier: Classifier, films: Images, section: PackageSection) -> dict[str, Any]:
    """Export the classifier; returns the tolerances within which its logits were checked against PyTorch's."""
    served = ServedClassifier(classifier)
    write_bytes(bundle / CLASSIFIER, to_onnx(served, section.weights))
    network = load_network(bundle / CLASSIFIER)
    # The differences are logged and not written: they depend on the processor, and equal inputs give equal bytes.
    expected = score(classifier, films)
    difference = check_onnx(expected, network, films, section.weights)
    log.info("ONNX: logits differ from PyTorch's by at most %.1e on %d films", difference, len(films))
    parity: dict[str, Any] = {"films": len(films), "onnx_tolerance": ONNX_TOLERANCE[section.weights]}
    if section.torchscript:
        script = to_torchscript(served)
        difference = check_script(expected, script, films)
        log.info("TorchScript: logits differ from PyTorch's by at most %.1e on %d films", difference, len(films))
        parity["torchscript_tolerance"] = SCRIPT_TOLERANCE
        write_bytes(bundle / SCRIPT, script)
    return parity


def _preparation(places: Places, rows: list[NpzRow]) -> Preparation:
    """The preparation of the films; raises CxrError if it used another lung segmenter."""
    first = places.npz / rows[0].file
    preparation = from_json(read_npz(first).spec, Preparation, str(first))
    if preparation.segment.lung_model != model_hash(places.segmenter):
        raise CxrError(f"{places.npz}: made with another lung segmenter than {places.segmenter}; run `dvc repro`")
    return preparation


def _parity_films(npz: Path, rows: list[NpzRow]) -> Images:
    """Films spread evenly over the set, uint8 (films, side, side, 4)."""
    at = np.unique(np.linspace(0, len(rows) - 1, PARITY_FILMS).astype(int))
    return np.stack([read_npz(npz / rows[index].file).image for index in at])


def _config(
    classifier: Classifier,
    preparation: Preparation,
    point: OperatingPoint,
    ood: Ood,
    places: Places,
    section: PackageSection,
) -> InferenceConfig:
    return InferenceConfig(
        format=2,
        classes=point.classes,
        backbone=classifier.facts["backbone"],
        image_px=classifier.facts["image_px"],
        preparation=preparation,
        operating_point=point,
        ood=ood,
        probability_bins=probability_bins(places.metrics / "predictions.csv", point),
        flags=FLAGS,
        population=section.population,
    )


def _provenance(
    classifier: Classifier, rows: list[NpzRow], section: PackageSection, parity: dict[str, Any]
) -> dict[str, Any]:
    """Provenance of a bundle, without commit and date, so that equal runs give equal bytes."""
    facts = classifier.facts
    return {
        "classifier": classifier.fingerprint,
        "films_hash": digest(*(row.film_hash.encode() for row in rows)),
        "films": facts.get("films", {}),
        "weights": facts.get("weights", {}),
        "train": facts.get("train", {}),
        "training": facts.get("provenance", {}),
        "package": section.model_dump(),
        "parity": parity,
    }


def _mb(*paths: Path) -> float:
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6
