"""MedMNIST files: one `.npz` with `train_images`, `train_labels` and so on; each image is one film."""

import functools
import io
import os
import re
import zipfile
import zlib
from typing import Any

import numpy as np

from cxr.core.errors import CxrError

MAGIC = b"\x93NUMPY"  # first bytes of a member
Array = np.ndarray[Any, Any]


def is_member(address: str) -> bool:
    """Whether an address names a film inside a MedMNIST file, not a file whose name contains a `#`."""
    return re.fullmatch(r".+#(train|val|test)/\d+", address, re.DOTALL) is not None and not os.path.lexists(address)


def member_bytes(address: str) -> bytes:
    """The member `file.npz#split/index` as the bytes of an `.npy` file."""
    file, _, member = address.rpartition("#")
    split, _, index = member.partition("/")
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, medmnist_array(file, f"{split}_images")[int(index)], allow_pickle=False)
    return buffer.getvalue()


def decode_member(address: str, content: bytes) -> Array:
    """The pixels of a member (height, width[, 3]); raises CxrError when the bytes are damaged."""
    try:
        return np.asarray(np.lib.format.read_array(io.BytesIO(content), allow_pickle=False))
    except (ValueError, EOFError, OSError) as error:
        raise CxrError(f"{address}: damaged member of a MedMNIST file ({error}); download the file again") from error


def medmnist_names(file: str) -> list[str]:
    """The arrays of a MedMNIST file: train_images, train_labels and so on."""
    with _open_npz(file) as arrays:
        return list(arrays)


@functools.lru_cache(maxsize=6)
def medmnist_array(file: str, name: str) -> Array:
    """One array of a MedMNIST file, such as `train_images` (films, height, width[, 3]) or `train_labels` (films, 1)."""
    with _open_npz(file) as arrays:
        if name not in arrays:
            raise CxrError(f"{file}: no array '{name}'; give a MedMNIST file with train_images, train_labels and so on")
        try:
            return np.asarray(arrays[name])
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            remedy = "save it as an array of numbers" if "Object" in str(error) else "download the file again"
            raise CxrError(f"{file}: array '{name}' cannot be read ({error}); {remedy}") from error


def _open_npz(file: str) -> Any:
    try:
        arrays = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = str(error).partition(" If you")[0]  # the rest of the message recommends pickles
        raise CxrError(f"{file}: cannot be read as a MedMNIST .npz ({reason}); download it again") from error
    if not isinstance(arrays, np.lib.npyio.NpzFile):
        raise CxrError(f"{file}: not a .npz archive; give one, or change data.layout: medmnist")
    return arrays
