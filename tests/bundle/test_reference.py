from pathlib import Path

import numpy as np
import pytest

from cxr.acquisition.statistics import STATISTICS
from cxr.bundle.reference import Reference, fit_feature_space, read_reference, write_reference
from cxr.core.errors import CxrError


@pytest.fixture
def reference() -> Reference:
    features = np.random.default_rng(0).gamma(1, size=(40, 12)).astype(np.float32)
    return Reference(fit_feature_space(features), np.zeros((101, len(STATISTICS))), 40)


def test_what_is_written_is_read_again(reference: Reference, tmp_path: Path) -> None:
    write_reference(tmp_path / "reference.npz", reference)
    again = read_reference(tmp_path / "reference.npz")
    films = np.random.default_rng(1).gamma(1, size=(5, 12)).astype(np.float32)
    assert np.array_equal(again.feature_space.distance(films), reference.feature_space.distance(films))
    assert again.films == 40


@pytest.mark.parametrize("space", [None, "as they are"])
def test_distances_of_another_feature_space_are_not_taken(
    reference: Reference, tmp_path: Path, space: str | None
) -> None:
    write_reference(tmp_path / "reference.npz", reference)
    with np.load(tmp_path / "reference.npz") as arrays:
        changed = {name: arrays[name] for name in arrays.files if name != "space"}
    np.savez(tmp_path / "other.npz", **changed, **({} if space is None else {"space": np.array(space)}))
    with pytest.raises(CxrError, match="features in another space"):
        read_reference(tmp_path / "other.npz")
