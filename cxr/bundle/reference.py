"""reference.npz: what a bundle remembers of the films that it was trained and validated on; no film can be got back."""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cxr.bundle.acquisition import STATISTICS, Floats
from cxr.bundle.familiarity import SPACE, Familiarity
from cxr.core.errors import CxrError
from cxr.core.files import write_bytes

DATE = (1980, 1, 1, 0, 0, 0)  # of every member, so that equal content gives equal bytes


@dataclass(frozen=True)
class Reference:
    """Feature space and acquisition of the training films."""

    familiarity: Familiarity
    acquisition: Floats  # quantiles of each of STATISTICS, (101, statistics)
    films: int  # training films


def write_reference(path: Path, reference: Reference) -> None:
    """Write it as NPZ; equal content gives equal bytes."""
    space = reference.familiarity
    arrays: dict[str, Any] = {
        "space": np.array(SPACE),
        "mean": space.mean,
        "directions": space.directions,
        "variances": space.variances,
        "rest": np.float64(space.rest),
        "statistics": np.array(STATISTICS),
        "acquisition": reference.acquisition,
        "films": np.int64(reference.films),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, values in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(values), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", DATE), member.getvalue(), zipfile.ZIP_DEFLATED)
    write_bytes(path, buffer.getvalue())


def read_reference(path: Path) -> Reference:
    """Read it; raises CxrError when it is missing, damaged or of another version."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if tuple(str(name) for name in arrays["statistics"]) != STATISTICS:
                raise ValueError("other acquisition statistics")
            if "space" not in arrays or str(arrays["space"]) != SPACE:
                raise ValueError("distances in another feature space")
            space = Familiarity(arrays["mean"], arrays["directions"], arrays["variances"], float(arrays["rest"]))
            return Reference(space, arrays["acquisition"], int(arrays["films"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise CxrError(f"{path}: not readable ({error}); make the bundle again with `dvc repro package`") from error
