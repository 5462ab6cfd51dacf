"""Wheels that the image's Python cannot install are an error before any upload."""

from pathlib import Path

import pytest

from cxr.aws.inputs import read_wheels
from cxr.core.errors import CxrError
from tests.aws.wheel import write_wheel


@pytest.mark.parametrize(
    "tag",
    ["py3-none-any", "cp312-cp312-manylinux_2_28_x86_64", "cp38-abi3-manylinux2014_x86_64", "py2.py3-none-any"],
)
def test_a_wheel_that_the_image_can_install_is_accepted(tmp_path: Path, tag: str) -> None:
    path = write_wheel(tmp_path, "some_package", "1.0", tag)
    assert read_wheels(tmp_path, "3.12").files == (path,)


@pytest.mark.parametrize(
    "tag",
    [
        "cp311-cp311-manylinux_2_28_x86_64",  # of the Python here, not of the image's
        "cp312-cp312-manylinux_2_39_x86_64",  # needs a younger C library than Amazon Linux 2023 has
        "cp312-cp312-manylinux_2_28_aarch64",
        "cp312-cp312-macosx_11_0_arm64",
    ],
)
def test_a_wheel_that_the_image_cannot_install_is_an_error(tmp_path: Path, tag: str) -> None:
    write_wheel(tmp_path, "some_package", "1.0", tag)
    with pytest.raises(CxrError, match=r"some_package-1\.0-.*: does not fit the image's Python 3\.12.*make wheels"):
        read_wheels(tmp_path, "3.12")


@pytest.mark.parametrize("lock", ["some-package==2.0\n", "some-package==1.0\nanother==1.0\n", "# nothing\n"])
def test_wheels_that_do_not_match_their_lock_are_an_error(tmp_path: Path, lock: str) -> None:
    write_wheel(tmp_path, "some_package", "1.0")
    (tmp_path / "requirements.txt").write_text(lock)
    with pytest.raises(CxrError, match="does not match the wheels beside it"):
        read_wheels(tmp_path, "3.12")


def test_a_folder_without_wheels_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(CxrError, match="no wheels there; run `make wheels`"):
        read_wheels(tmp_path, "3.12")
