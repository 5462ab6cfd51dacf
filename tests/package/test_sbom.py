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


def test_the_bill_is_valid_cyclonedx(project: Project) -> None:
    text = (project.bundle / files.SBOM).read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_the_bill_lists_exactly_the_pinned_packages_for_serving(bill: dict[str, Any]) -> None:
    lines = (ROOT / "requirements-serve.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.split(" ")[0].replace("==", "@") for line in lines if "==" in line and line[0] not in " #"}
    libraries = [one for one in bill["components"] if one["type"] == "library"]
    assert {one["purl"].removeprefix("pkg:pypi/") for one in libraries} == pinned


def test_the_bill_lists_every_network_with_its_hash(project: Project, bill: dict[str, Any]) -> None:
    networks = {one["name"]: one for one in bill["components"] if one["type"] == "machine-learning-model"}
    assert set(networks) == {files.CLASSIFIER, files.SCRIPT, files.SEGMENTER}
    for name, one in networks.items():
        content = hashlib.sha256((project.bundle / name).read_bytes()).hexdigest()
        assert one["hashes"] == [{"alg": "SHA-256", "content": content}]


def test_the_bill_has_neither_date_nor_machine(bill: dict[str, Any]) -> None:
    assert "serialNumber" not in bill
    assert set(bill["metadata"]) == {"component"}


def test_the_archive_contains_the_bill(project: Project) -> None:
    with tarfile.open(project.archive) as archive:
        assert files.SBOM in archive.getnames()
