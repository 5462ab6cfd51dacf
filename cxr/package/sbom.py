"""sbom.cdx.json: what a bundle is made of and what answering needs, as CycloneDX 1.6; equal inputs give equal bytes."""

import hashlib
from pathlib import Path

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement

from cxr.core.files import write_text

NAME = "cxr-pneumonia-bundle"


def write_sbom(path: Path, fingerprint: str, networks: list[Path], requirements: Path) -> None:
    """Write the bill of materials of a bundle, without date and serial number, which would differ in equal runs.

    Args:
        path: to write.
        fingerprint: of the classifier, which names the bundle's version.
        networks: files of the bundle that hold weights.
        requirements: the pinned packages that serving needs.
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
