"""The bill of materials of a bundle."""

import hashlib
import json
import tarfile
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from cxr.bundle import files
from tests.bundles import ROOT, Project


@pytest.fixture
def bill(project: Project) -> dict[str, Any]:
    return dict(json.loads((project.bundle / files.SBOM).read_text(encoding="utf-8")))


def test_it_is_valid_cyclonedx(project: Project) -> None:
    text = (project.bundle / files.SBOM).read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_it_names_exactly_the_packages_that_serving_pins(bill: dict[str, Any]) -> None:
    lines = (ROOT / "requirements-serve.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.split(" ")[0].replace("==", "@") for line in lines if "==" in line and line[0] not in " #"}
    libraries = [one for one in bill["components"] if one["type"] == "library"]
    assert {one["purl"].removeprefix("pkg:pypi/") for one in libraries} == pinned


def test_it_names_every_network_of_the_bundle_by_its_hash(project: Project, bill: dict[str, Any]) -> None:
    networks = {one["name"]: one for one in bill["components"] if one["type"] == "machine-learning-model"}
    assert set(networks) == {files.CLASSIFIER, files.SCRIPT, files.SEGMENTER}
    for name, one in networks.items():
        content = hashlib.sha256((project.bundle / name).read_bytes()).hexdigest()
        assert one["hashes"] == [{"alg": "SHA-256", "content": content}]


def test_nothing_in_it_tells_when_or_where_it_was_made(bill: dict[str, Any]) -> None:
    assert "serialNumber" not in bill
    assert set(bill["metadata"]) == {"component"}


def test_the_archive_carries_it(project: Project) -> None:
    with tarfile.open(project.archive) as archive:
        assert files.SBOM in archive.getnames()
