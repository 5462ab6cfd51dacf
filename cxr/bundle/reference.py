"""reference.npz: distributions of the training films, and the distance of a new film's features from them."""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cxr.acquisition.statistics import STATISTICS
from cxr.core.errors import CxrError
from cxr.core.files import write_bytes

Array = np.ndarray[Any, np.dtype[np.float32]]
Floats = np.ndarray[Any, np.dtype[np.float64]]
SPACE = "signed square root"  # applied to the features; stored, so that a bundle with another transform is rejected
DIRECTIONS = 64  # at most; a quarter of the films if that is fewer
DATE = (1980, 1, 1, 0, 0, 0)  # of every member, so that equal content gives equal bytes


@dataclass(frozen=True)
class FeatureSpace:
    """Mean and covariance of the signed square roots of the training films' features."""

    mean: Array  # (channels,)
    directions: Array  # (k, channels), orthonormal
    variances: Array  # (k,)
    rest: float  # variance in each other direction

    def distance(self, features: Array) -> Floats:
        """Distance of each film, (films,), from its features (films, channels): about 1 for a training film."""
        centred = signed_root(features) - self.mean
        along = centred @ self.directions.T.astype(np.float64)
        beside = np.maximum(np.square(centred).sum(axis=1) - np.square(along).sum(axis=1), 0)
        squared = (np.square(along) / self.variances).sum(axis=1) + beside / self.rest
        return np.asarray(np.sqrt(squared / len(self.mean)))


def signed_root(features: Array) -> Floats:
    """The square root of each feature's size, with its sign."""
    values = features.astype(np.float64)
    return np.asarray(np.sign(values) * np.sqrt(np.abs(values)))


def fit_feature_space(features: Array) -> FeatureSpace:
    """Mean and covariance of the features (films, channels) of at least two films."""
    films, channels = features.shape
    roots = signed_root(features)
    mean = roots.mean(axis=0)
    _, spread, directions = np.linalg.svd(roots - mean, full_matrices=False)
    variances = np.square(spread) / max(films - 1, 1)
    kept = max(1, min(DIRECTIONS, films // 4, channels - 1))
    left = channels - kept
    floor = 1e-6 * float(variances[0]) + 1e-12  # channels that are always zero would make every distance infinite
    rest = max(float(variances[kept:].sum()) / left, floor)
    return FeatureSpace(
        mean.astype(np.float32),
        directions[:kept].astype(np.float32),
        np.maximum(variances[:kept], rest).astype(np.float32),
        rest,
    )


@dataclass(frozen=True)
class Reference:
    """Feature space and acquisition of the training films."""

    feature_space: FeatureSpace
    acquisition: Floats  # quantiles of each of STATISTICS, (101, statistics)
    films: int  # training films


def write_reference(path: Path, reference: Reference) -> None:
    """Write reference.npz; equal content gives equal bytes."""
    space = reference.feature_space
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
    """Read reference.npz; raises CxrError if it is missing, damaged or of another version."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if tuple(str(name) for name in arrays["statistics"]) != STATISTICS:
                raise ValueError("other acquisition statistics")
            if "space" not in arrays or str(arrays["space"]) != SPACE:
                raise ValueError("features in another space")
            space = FeatureSpace(arrays["mean"], arrays["directions"], arrays["variances"], float(arrays["rest"]))
            return Reference(space, arrays["acquisition"], int(arrays["films"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise CxrError(f"{path}: not readable ({error}); make the bundle again with `dvc repro package`") from error
