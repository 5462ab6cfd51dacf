"""A bundle's facts, a local hub with the client set up for it, and an MLflow server."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cxr.publish.facts import BundleFacts, read_facts
from testing.mlflow_server import mlflow_serving
from tests.bundles import Project


@pytest.fixture(scope="session")
def facts(project: Project) -> BundleFacts:
    found = read_facts(project.bundle)
    settings = {"lr": 0.001, "augment": {"flip": 0.5}}  # as training stores them; this classifier was not trained
    return replace(found, provenance={**found.provenance, "train": settings})


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_serving(tmp_path_factory.mktemp("mlflow")) as url:
        yield url


@pytest.fixture
def films(project: Project) -> list[str]:
    """Two films, and one that is rejected."""
    found = sorted(path.as_posix() for path in (project.root / "films/test").rglob("*.png"))[:2]
    broken = project.root / "broken.png"
    broken.write_bytes(Path(found[0]).read_bytes()[:100])
    return [*found, broken.as_posix()]
