"""Small synthetic films and a workspace to run stages in."""

import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from huggingface_hub import constants
from playwright.sync_api import expect, sync_playwright
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

from cxr.npz.preparation import SEGMENT_FACTS, Preparation, SegmentStep, Step, to_json
from cxr.runtime.compute import Compute
from testing.hub_server import TOKEN, LocalHub, local_hub
from tests.settings import machine

if TYPE_CHECKING:  # torch is loaded by those who ask for a bundle
    from tests.bundles import Project

Image = np.ndarray
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
HUB_FILE = "/{repo_id}/resolve/{revision}/{filename}"
PREPARATION = Preparation(
    segment=SegmentStep(settings={"threshold": 0.5}, code="c0de", versions={"opencv": "5"}, lung_model="a11ce"),
    preprocess=Step(settings={"image_px": 224, "region": "crop"}, code="c0de", versions={"opencv": "5"}),
)


# Files that take longest, longest first: `make test` begins with them.
LONGEST = (
    "tests/test_readme.py",
    "tests/test_pipeline.py",
    "tests/aws/test_handoff.py",
    "tests/aws/test_train_stage.py",
    "tests/train/test_resume.py",
    "tests/train/test_train.py",
    "tests/predict/test_batch.py",
    "tests/experiments/test_reruns.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of the longest files first; the others stay in their order."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.nodeid.partition("::")[0], len(LONGEST)))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="a skipped test fails, unless it needs a GPU")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With --no-skips what was not tried counts as broken."""
    report = yield
    if report.skipped and item.config.getoption("--no-skips") and "gpu" not in item.keywords:
        report.outcome, report.longrepr = "failed", f"skipped: {report.longrepr}"
    return report


def phantom(seed: int = 0, width: int = 160, height: int = 128) -> tuple[Image, Image]:
    """A crude film of two dark lungs in a bright chest, and its lung mask; both uint8 (height, width)."""
    random = np.random.default_rng(seed)
    mask = np.zeros((height, width), np.uint8)
    for side in (0.3, 0.7):
        centre = (int(width * side), int(height * (0.5 + 0.02 * random.standard_normal())))
        cv2.ellipse(mask, centre, (int(width * 0.13), int(height * 0.32)), 0, 0, 360, 255, -1)
    film = np.where(mask > 0, 70, 170).astype(np.float32)
    film = cv2.GaussianBlur(film, (0, 0), 2) + random.normal(0, 6, film.shape)
    return np.clip(film, 0, 255).astype(np.uint8), mask


def write_dicom(path: Path, film: Image, bits: int = 8, photometric: str = "MONOCHROME2", **tags: object) -> Path:
    """An uncompressed DICOM file whose stored values are a 16-bit film's, or an 8-bit film's scaled to `bits`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = ComputedRadiographyImageStorage, generate_uid()
    dataset.PatientID, dataset.Modality = "unknown", "CR"
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    deep = film if film.dtype == np.uint16 else film.astype(np.uint16) << (bits - 8)
    stored = deep.astype(np.uint8 if bits == 8 else np.uint16)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.set_pixel_data(stored, photometric, bits)
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_image(path: Path, image: Image) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    return path


def write_segment_facts(masks: Path) -> None:
    """What the segment stage leaves beside the masks."""
    masks.mkdir(parents=True, exist_ok=True)
    (masks / SEGMENT_FACTS).write_text(to_json(PREPARATION.segment), encoding="utf-8")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as the current one, with a per-film cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return tmp_path


@pytest.fixture
def one_process() -> Compute:
    return machine(workers=1)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Real films, laid out as docs/data.md says, where CXR_REAL_DATA names them."""
    if "CXR_REAL_DATA" not in os.environ:
        pytest.fail("CXR_REAL_DATA is not set: name the folder of real films in it")
    return Path(os.environ["CXR_REAL_DATA"])


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> "Project":
    """The stages' results for two classes and their bundle, TorchScript included."""
    from tests.bundles import make_project

    return make_project(tmp_path_factory.mktemp("two"), torchscript=True)


@pytest.fixture(scope="session")
def project_of_three(tmp_path_factory: pytest.TempPathFactory) -> "Project":
    """The same for three classes."""
    from tests.bundles import THREE, make_project

    return make_project(tmp_path_factory.mktemp("three"), THREE)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium. One a module: while it runs, its thread has an event loop, and `asyncio.run` refuses."""
    path = os.environ.get("CXR_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium, or name one in CXR_CHROMIUM")
    expect.set_options(timeout=60_000)  # a busy machine takes its time
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=FLAGS)  # headless, a profile of its own
        yield launched
        launched.close()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """A local Hugging Face Hub, its client set up for it with a token and an empty cache."""
    with local_hub() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)  # HF_ENDPOINT and the others are read on import
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + HUB_FILE)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # the local hub has LFS only
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield hub
