"""Versions of the libraries that turn a file's bytes into pixels."""

from importlib.metadata import PackageNotFoundError, version

import cv2


def decoder_versions() -> dict[str, str]:
    """OpenCV, pydicom and GDCM; a library that is not installed is `absent`."""
    return {"opencv": cv2.__version__, "pydicom": _version("pydicom"), "gdcm": _version("python-gdcm")}


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "absent"
