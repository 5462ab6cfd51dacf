from pathlib import Path

import pytest

from cxr.bundle.files import SUMS, verify_sums, write_sums
from cxr.core.errors import CxrError


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    (folder / "licences").mkdir(parents=True)
    (folder / "a.onnx").write_bytes(b"weights")
    (folder / "licences/LICENSE").write_text("MIT")
    write_sums(folder)
    return folder


def test_sha256sum_accepts_the_sums(bundle: Path) -> None:
    lines = (bundle / SUMS).read_text().splitlines()
    assert [line.split("  ")[1] for line in lines] == ["a.onnx", "licences/LICENSE"]
    assert all(len(line.split("  ")[0]) == 64 for line in lines)


def test_the_hash_of_a_bundle_depends_on_its_content(bundle: Path) -> None:
    before = verify_sums(bundle)
    assert verify_sums(bundle) == before
    (bundle / "a.onnx").write_bytes(b"other")
    write_sums(bundle)
    assert verify_sums(bundle) != before


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda folder: (folder / "a.onnx").write_bytes(b"weighty"), "a.onnx: altered"),
        (lambda folder: (folder / "licences/LICENSE").unlink(), "LICENSE: missing"),
        (lambda folder: (folder / "extra.txt").write_text("x"), "extra.txt: not listed"),
        (lambda folder: (folder / SUMS).unlink(), "no bundle"),
        (lambda folder: (folder / SUMS).write_bytes(b"\xff\xfe nonsense"), "damaged"),
    ],
)
def test_a_damaged_bundle_is_an_error(bundle: Path, damage, fault: str) -> None:  # type: ignore[no-untyped-def]
    damage(bundle)
    with pytest.raises(CxrError, match=fault):
        verify_sums(bundle)


def test_files_of_a_file_manager_are_not_part_of_a_bundle(bundle: Path) -> None:
    (bundle / ".DS_Store").write_bytes(b"x")
    verify_sums(bundle)
