"""Reduced films, and the cache that keeps them between stages."""

from pathlib import Path

import cv2
import numpy as np
import pytest

import cxr.films.reduced
from cxr.films.film import reduced
from cxr.films.read import Source, decode, read_source
from cxr.films.reduced import keep_reduced, read_reduced
from tests.conftest import phantom, write_image


@pytest.fixture
def large(workspace: Path) -> Source:
    film = cv2.resize(phantom(1)[0], (1300, 900), interpolation=cv2.INTER_CUBIC)
    return read_source(str(write_image(workspace / "large.png", film)))


def entries(workspace: Path) -> list[Path]:
    return [path for path in (workspace / ".cache").rglob("*") if path.is_file()]


def test_a_kept_film_is_not_decoded_again(large: Source, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = reduced(decode(large))
    keep_reduced(large, film)
    monkeypatch.setattr(cxr.films.reduced, "decode", lambda source: pytest.fail("decoded again"))
    found = read_reduced(large)
    assert np.array_equal(found.grey, film.grey)
    assert (found.size, found.bits, found.colour) == ((1300, 900), 8, None)


def test_a_film_that_is_missing_or_damaged_in_the_cache_is_decoded_and_kept(large: Source, workspace: Path) -> None:
    first = read_reduced(large).grey
    (entry,) = entries(workspace)
    entry.write_bytes(entry.read_bytes()[:-9])
    assert np.array_equal(read_reduced(large).grey, first)
    assert len(entries(workspace)) == 1


def test_a_small_film_takes_no_room_in_the_cache(workspace: Path) -> None:
    source = read_source(str(write_image(workspace / "small.png", phantom(2)[0])))
    assert np.array_equal(read_reduced(source).grey, phantom(2)[0])
    assert entries(workspace) == []
