"""Documents in a bundle: model card, licences, software bill of materials."""

import hashlib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from string import Template
from typing import Any

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement

from cxr.acquisition.statistics import STATISTICS
from cxr.bundle.config import InferenceConfig
from cxr.bundle.population import Population
from cxr.bundle.reference import Reference
from cxr.core.files import write_text
from cxr.models.weights import PACKAGES

TEMPLATE = Path(__file__).with_name("card.md")
SHOWN = ("auroc", "macro_auroc", "accuracy", "sensitivity", "specificity", "macro_f1", "ece")
RANGES = {
    "width": "width, pixels",
    "height": "height, pixels",
    "sharpness": "sharpness, log variance of the Laplacian",
    "contrast": "contrast, SD of the grey levels",
    "mean": "exposure, mean grey level",
    "black": "share of black pixels (below 16)",
    "white": "share of white pixels (above 239)",
    "rim": "mean grey level of the border",
}  # acquisition statistics on the card
PARTS = """\
# Parts of this bundle and their terms

| part | terms |
|---|---|
| code, settings, documents, `lung_segmenter.onnx` | MIT: LICENSE |
| films behind `lung_segmenter.onnx` | Kermany et al. 2018, masks by V7 Labs, both CC BY 4.0; no film is in the file |
| starting weights of `classifier.onnx` | {weights} |
| films behind `classifier.onnx` | the training films from `data.root`: their owner's terms; no film is in the file |
"""
NAME = "cxr-pneumonia-bundle"
LUNG_ENCODER = "models/lung_encoder.safetensors"  # as `train.weights`


def model_card(
    config: InferenceConfig, reference: Reference, provenance: dict[str, Any], performance: dict[str, Any]
) -> str:
    """The text of the card.

    Args:
        config: the bundle's settings.
        reference: distributions of the training films.
        provenance: as written beside it.
        performance: metrics/details/performance.json.
    """
    point = config.operating_point
    rule = "the most probable class is predicted" if point.threshold is None else (
        f"{config.classes[1]} from a calibrated probability of {point.threshold:.3f} (rule `{point.rule}`)"
    )  # fmt: skip
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        classes=" or ".join(config.classes),
        backbone=config.backbone,
        image_px=config.image_px,
        weights=provenance["package"]["weights"],
        fingerprint=point.classifier,
        films=_films(provenance["films"]),
        decision=f"{rule}; temperature {point.temperature:.3f}",
        source=f"`{provenance['weights'].get('source', 'unknown')}`",
        metrics=_table(performance),
        population=_population(config.population),
        ranges=_ranges(reference),
        training_films=reference.films,
        quantile=f"{config.ood.quantile:.0%}",
        ood_films=config.ood.films,
        parity=f"{provenance['parity']['onnx_tolerance']:g}",
        parity_films=provenance["parity"]["films"],
    )


def _films(films: dict[str, dict[str, int]]) -> str:
    counts = (f"{sum(classes.values())} {split} ({_by_class(classes)})" for split, classes in films.items())
    return "; ".join(counts)


def _population(population: Population) -> str:
    stated = dict(population.description)
    if population.age != "none":
        stated["age"] = "{:g} to {:g} years".format(*population.age)
    if population.views:
        stated["view"] = " or ".join(population.views)
    return "; ".join(f"{name}: {value}" for name, value in stated.items()) or "not described"


def _ranges(reference: Reference) -> str:
    """A table of the 1st, 50th and 99th percentile of some acquisition statistics of the training films."""
    rows = ["| statistic | 1st percentile | median | 99th percentile |", "|---|---|---|---|"]
    for name, text in RANGES.items():
        values = reference.acquisition[[1, 50, 99], STATISTICS.index(name)]  # of 101 quantiles
        rows.append(
            f"| {text} | {' | '.join(f'{value:.0f}' if value >= 100 else f'{value:.3g}' for value in values)} |"
        )
    return "\n".join(rows)


def _by_class(classes: dict[str, int]) -> str:
    return ", ".join(f"{films} {name}" for name, films in classes.items())


def _table(performance: dict[str, Any]) -> str:
    """A table of the reported split, with a reason for each undefined metric."""
    block = performance[performance["reported_split"]]
    rows = [f"| metric | {performance['reported_split']}, {block['films']} films |", "|---|---|"]
    for name in SHOWN:
        if name not in block:
            continue
        text = block.get(f"{name}_reason", "not defined") if block[name] is None else f"{block[name]:.3f}"
        if block.get(f"{name}_low") is not None:
            text += f" [{block[f'{name}_low']:.3f}, {block[f'{name}_high']:.3f}]"
        rows.append(f"| {name.replace('_', ' ')} | {text} |")
    return "\n".join(rows)


def write_licences(folder: Path, licence: Path, weights: str, backbone: str) -> None:
    """Write the folder: this repository's licence, that of the starting weights, and a list of parts and terms.

    Args:
        folder: to write.
        licence: this repository's.
        weights: `train.weights` of the checkpoint.
        backbone: `train.backbone`, which names the package of weights.
    """
    folder.mkdir()
    write_text(folder / "LICENSE", licence.read_text(encoding="utf-8"))
    terms = f"`{weights}`: their publisher's"
    if weights == "package":
        terms = f"Apache-2.0 ({PACKAGES[backbone]}): LICENSE.weights"
        write_text(folder / "LICENSE.weights", _licence_of(PACKAGES[backbone]))
    elif weights == LUNG_ENCODER:
        terms = f"Apache-2.0 ({PACKAGES[backbone]}), then trained with `lung_segmenter.onnx`: LICENSE.weights"
        write_text(folder / "LICENSE.weights", _licence_of(PACKAGES[backbone]))
    elif weights == "none":
        terms = "none: trained from random weights"
    write_text(folder / "PARTS.md", PARTS.format(weights=terms))


def _licence_of(package: str) -> str:
    try:
        text = distribution(package).read_text("LICENSE")
    except PackageNotFoundError:
        text = None
    return text or "Apache License, Version 2.0: https://www.apache.org/licenses/LICENSE-2.0\n"


def write_sbom(path: Path, fingerprint: str, networks: list[Path], requirements: Path) -> None:
    """Write the bill of materials of a bundle, without date and serial number, so that equal runs give equal bytes.

    Args:
        path: to write.
        fingerprint: of the classifier; the version of the bundle.
        networks: the bundle's files with weights.
        requirements: the pinned packages for serving.
    """
    bundle = Component(name=NAME, version=fingerprint, type=ComponentType.APPLICATION, bom_ref=NAME)
    libraries = [_library(one) for one in _pinned(requirements)]
    bom = Bom(metadata=BomMetaData(component=bundle), components=[*map(_network, networks), *libraries])
    bom.metadata.timestamp = None  # type: ignore[assignment]  # left out of the file, as the format allows
    bom.serial_number = None  # type: ignore[assignment]
    bom.register_dependency(bundle, bom.components)
    write_text(path, JsonV1Dot6(bom).output_as_string(indent=2) + "\n")


def _pinned(requirements: Path) -> list[Requirement]:
    lines = [line.strip() for line in requirements.read_text(encoding="utf-8").splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def _library(pinned: Requirement) -> Component:
    version = str(pinned.specifier).removeprefix("==")
    address = PackageURL("pypi", None, pinned.name, version)
    return Component(
        name=pinned.name, version=version, type=ComponentType.LIBRARY, purl=address, bom_ref=address.to_string()
    )


def _network(path: Path) -> Component:
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    return Component(
        name=path.name,
        version=content[:12],
        type=ComponentType.MACHINE_LEARNING_MODEL,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=content)],
        bom_ref=path.name,
    )
