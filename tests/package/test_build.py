"""The bundle as a folder and as an archive."""

import json
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from cxr.acquisition.statistics import STATISTICS
from cxr.acquisition.table import read_acquisition
from cxr.bundle import files
from cxr.bundle.config import FLAGS, read_config
from cxr.bundle.files import verify_sums, write_archive, write_sums
from cxr.bundle.network import load_network
from cxr.bundle.reference import read_reference
from cxr.core.errors import CxrError
from cxr.npz.films import read_index
from cxr.package.build import build_bundle
from cxr.package.config import PackageSection
from cxr.package.reference import fit_reference
from cxr.predict.predictor import Predictor
from tests.bundles import Project, params, places

PARTS = {
    files.CLASSIFIER, files.SEGMENTER, files.CONFIG, files.REFERENCE, files.CARD, files.PROVENANCE, files.SUMS,
    files.SBOM, files.LICENCES,
}  # fmt: skip


def test_a_bundle_has_all_files_for_serving(project: Project, project_of_three: Project) -> None:
    assert {path.name for path in project.bundle.iterdir()} == PARTS | {files.SCRIPT}
    assert {path.name for path in project_of_three.bundle.iterdir()} == PARTS
    assert {path.name for path in (project.bundle / files.LICENCES).iterdir()} >= {"LICENSE", "PARTS.md"}


def test_a_second_build_writes_the_same_bytes(project_of_three: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project_of_three.root)
    section = params("package", PackageSection, torchscript=False)
    build_bundle(places(), section, Path("again/bundle"), Path("again/model.tar.gz"))
    assert Path("again/model.tar.gz").read_bytes() == project_of_three.archive.read_bytes()
    assert verify_sums(Path("again/bundle")) == verify_sums(project_of_three.bundle)


def test_the_archive_unpacks_to_a_bundle_that_loads(project: Project, tmp_path: Path) -> None:
    with tarfile.open(project.archive) as archive:
        assert all(member.mtime == member.uid == member.gid == 0 for member in archive)
        archive.extractall(tmp_path / "model", filter="data")
    assert Predictor.load(tmp_path / "model").version == Predictor.load(project.bundle).version


def test_an_archive_does_not_depend_on_dates(project: Project, tmp_path: Path) -> None:
    shutil.copytree(project.bundle, tmp_path / "copy", copy_function=shutil.copyfile)
    write_archive(tmp_path / "copy", tmp_path / "copy.tar.gz")
    assert (tmp_path / "copy.tar.gz").read_bytes() == project.archive.read_bytes()


def test_settings_have_comments_and_are_read_back_unchanged(project: Project) -> None:
    text = (project.bundle / files.CONFIG).read_text()
    assert text.startswith("# RESEARCH USE ONLY")
    assert "threshold: 0.45 # calibrated probability at and above which a film is predicted positive" in text
    config = read_config(project.bundle / files.CONFIG)
    assert (config.operating_point.threshold, config.operating_point.temperature) == (0.45, 1.5)
    assert config.pixels.image_px == config.image_px == 64


def test_an_edited_threshold_is_an_error(project: Project, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(project.bundle, bundle)
    text = (bundle / files.CONFIG).read_text()
    (bundle / files.CONFIG).write_text(text.replace("threshold: 0.45", "threshold: 0.90"))
    with pytest.raises(CxrError, match="altered"):
        Predictor.load(bundle)


def test_an_unknown_setting_is_an_error(project: Project, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(project.bundle, bundle)
    with (bundle / files.CONFIG).open("a") as stream:
        stream.write("tresholds: 1\n")
    write_sums(bundle)
    with pytest.raises(CxrError, match="tresholds: unknown parameter"):
        Predictor.load(bundle)


def test_another_lung_segmenter_is_an_error(project: Project, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(project.bundle, bundle)
    shutil.copyfile(bundle / files.CLASSIFIER, bundle / files.SEGMENTER)
    write_sums(bundle)
    with pytest.raises(CxrError, match="not the segmenter that made the training films' masks"):
        Predictor.load(bundle)


def test_an_operating_point_of_other_weights_is_an_error(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.root)
    point = json.loads(Path("models/operating_point.json").read_text())
    other = Path("models/other.json")
    other.write_text(json.dumps(point | {"classifier": "f" * 32}))
    with pytest.raises(CxrError, match="fitted for classifier"):
        build_bundle(
            replace(places(), operating_point=other), params("package", PackageSection), Path("b"), Path("b.tar.gz")
        )
    assert not Path("b").exists()


def test_card_and_provenance_describe_the_bundle(project: Project) -> None:
    card = (project.bundle / files.CARD).read_text()
    assert "Research use only" in card
    assert "| auroc | 0.500 [0.300, 0.700] |" in card
    assert "| ece | few films |" in card
    assert "| population | not described |" in card
    facts = json.loads((project.bundle / files.PROVENANCE).read_text())
    assert "at most 0.0001 of the largest logit" in card
    assert facts["parity"] == {"films": 72, "onnx_tolerance": 1e-4, "torchscript_tolerance": 1e-4}


def test_the_card_states_the_acquisition_of_the_training_films(project: Project) -> None:
    rows = read_index(project.root / "data/npz")
    table = read_acquisition(project.root / "data/acquisition.csv")
    exposure = table.loc[[row.image_id for row in rows if row.split == "train"], "mean"]
    low, middle, high = (f"{value:.3g}" for value in np.quantile(exposure, [0.01, 0.5, 0.99]))
    card = (project.bundle / files.CARD).read_text()
    assert f"| exposure, mean grey level | {low} | {middle} | {high} |" in card
    assert "on 24 films" in card


def test_the_ood_threshold_is_set_on_the_validation_films(project: Project) -> None:
    config, reference = read_config(project.bundle / files.CONFIG), read_reference(project.bundle / files.REFERENCE)
    assert config.ood.films == 12
    assert [flag.code for flag in config.flags] == [flag.code for flag in FLAGS]
    assert reference.films == 24
    assert reference.acquisition.shape == (101, len(STATISTICS))


def test_the_reference_is_measured_in_portable_arithmetic(project: Project) -> None:
    network = load_network(project.bundle / files.CLASSIFIER, portable=True)
    level = network.session.get_session_options().graph_optimization_level
    assert level == onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED  # above it, bits depend on the processor
    npz, acquisition = project.root / "data/npz", project.root / "data/acquisition.csv"
    expected, _ = fit_reference(network, npz, read_index(npz), acquisition, 0.99)
    written = read_reference(project.bundle / files.REFERENCE)
    assert np.array_equal(written.feature_space.mean, expected.feature_space.mean)
    assert np.array_equal(written.feature_space.directions, expected.feature_space.directions)
