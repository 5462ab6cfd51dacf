"""Films of two splits that are one film are found, whatever was done to it."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from cxr.films.letterbox import Image
from cxr.films.manifest import SPLITS, Record
from cxr.ingest import near_duplicates
from cxr.ingest.film import SIDE, thumbnail
from tests.conftest import write_image
from tests.ingest.test_ingest import run, settings

CHANGES: dict[str, Callable[[Image], Image]] = {
    "stored again": lambda film: cv2.imdecode(cv2.imencode(".jpg", film, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 0),
    "resized": lambda film: cv2.resize(film, (177, 133), interpolation=cv2.INTER_AREA),
    "cropped": lambda film: film[14:-10, 18:-8],
    "mirrored": lambda film: cv2.flip(film, 1),
    "relit": lambda film: np.clip(255 * (film / 255.0) ** 0.6 * 0.8 + 20, 0, 255).astype(np.uint8),
}


def film(seed: int) -> Image:
    """A film of its own anatomy: ribs, lungs and shadows in other places than those of another seed."""
    random = np.random.default_rng(seed)
    canvas = np.full((220, 260), 150.0, np.float32)
    for side in (0.3, 0.7):
        centre = (int(260 * side + random.normal(0, 8)), int(110 + random.normal(0, 8)))
        cv2.ellipse(canvas, centre, (int(random.integers(28, 42)), int(random.integers(60, 85))), 0, 0, 360, 60.0, -1)
    for _ in range(25):
        at, size = random.integers(20, 200, 2), int(random.integers(4, 22))
        cv2.circle(canvas, (int(at[0] * 1.2), int(at[1])), size, float(random.integers(40, 230)), -1)
    canvas = cv2.GaussianBlur(canvas, (0, 0), 3) + random.normal(0, 3, canvas.shape)
    return np.clip(canvas, 0, 255).astype(np.uint8)


def write_cohort(changed: dict[str, Image]) -> None:
    """20 training and 8 test films of their own, and the test films `changed`, by name."""
    for number in range(20):
        write_image(Path(f"films/train/{('NORMAL', 'PNEUMONIA')[number % 2]}/P{number}_1.png"), film(number))
    for number in range(100, 108):
        write_image(Path(f"films/test/{('NORMAL', 'PNEUMONIA')[number % 2]}/P{number}_1.png"), film(number))
    for number, picture in enumerate(changed.values()):
        write_image(Path(f"films/test/NORMAL/P{200 + number}_1.png"), picture)


def test_changed_duplicates_are_found_and_no_other_films(workspace: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_cohort({name: change(film(number)) for number, (name, change) in enumerate(CHANGES.items())})
    run(settings())
    pairs = pd.read_csv("data/near_duplicates/pairs.csv")
    found = {(Path(row.path).stem, Path(row.other_path).stem) for row in pairs.itertuples()}
    assert found == {(f"P{200 + number}_1", f"P{number}_1") for number in range(len(CHANGES))}
    mirrored = pairs[pairs["mirrored"]]
    assert [Path(path).stem for path in mirrored["path"]] == [f"P{200 + list(CHANGES).index('mirrored')}_1"]
    assert (pairs["split"] == "test").all()
    assert f"{len(CHANGES)} films are likely duplicates of a film of another split" in caplog.text
    assert '"likely_duplicates_across_splits": 5' in Path("data/audit.json").read_text()
    sheet = cv2.imread("data/near_duplicates/pairs.png", cv2.IMREAD_GRAYSCALE)
    assert sheet is not None
    assert sheet.std() > 20


def test_the_block_size_does_not_change_the_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Films of few anatomies, so that each has many counterparts, and only the likeliest are looked at."""
    random = np.random.default_rng(0)
    drawn = [thumbnail(film(seed)) for seed in range(5)]
    thumbnails = [
        np.clip(drawn[index % 5] + random.normal(0, 2, (SIDE, SIDE)), 0, 255).astype(np.uint8) for index in range(90)
    ]
    thumbnails[30:40] = [np.ascontiguousarray(one[:, ::-1]) for one in thumbnails[30:40]]
    records = [
        Record(f"{index}", f"{index}.png", "a", f"{index}", SPLITS[index % 3], 0, 0, 8, "", "", "")
        for index in range(90)
    ]
    found = []
    for block in (7, 32, 2048):
        monkeypatch.setattr(near_duplicates, "BLOCK", block)
        pairs = near_duplicates.near_duplicates(records, thumbnails, 1)
        found.append([(pair.one.image_id, pair.other.image_id, pair.distance, pair.mirrored) for pair in pairs])
    assert found[0] == found[1] == found[2]
    counts = Counter(one for one, *_ in found[0])
    assert max(counts.values()) == near_duplicates.CANDIDATES
    assert {mirrored for *_, mirrored in found[0]} == {False, True}


def test_a_cohort_without_duplicates_has_an_empty_table_and_no_sheet(workspace: Path) -> None:
    write_cohort({})
    run(settings())
    assert pd.read_csv("data/near_duplicates/pairs.csv").empty
    assert not Path("data/near_duplicates/pairs.png").exists()
