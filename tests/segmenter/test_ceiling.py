from pathlib import Path

import cv2
import numpy as np
import pytest

from cxr.films.letterbox import Image
from segmenter import ceiling
from segmenter.ceiling import drawn_twice, halves, repeated
from segmenter.config import FitSection, PrepareSection, TrainSection
from segmenter.pairs import find_pairs, read_pair
from segmenter.table import Pair
from tests.conftest import phantom, write_image


class Draws:
    """A segmenter that draws the mask it was given."""

    frame_px = 64

    def __init__(self, mask: Image) -> None:
        self.mask = mask

    def probability(self, frame: Image) -> np.ndarray:
        return (self.mask > 0).astype(np.float32)


def test_masks_of_one_film_are_compared_with_each_other_and_with_the_network(
    prepare: PrepareSection, films: Path
) -> None:
    first = films / "child/images/p0/p0_0.png"
    mask = cv2.imread(str(films / "child/masks/p0_0.png"), cv2.IMREAD_GRAYSCALE)
    for name, drawn in (("p0_98", mask), ("p0_99", np.roll(mask, 8, axis=0))):
        (films / f"child/images/p0/{name}.png").write_bytes(first.read_bytes())
        write_image(films / f"child/masks/{name}.png", drawn)
    with (films / "child/sizes.csv").open("a") as table:
        table.write("p0_98.png,960,640\np0_99.png,960,640\n")
    found = repeated(find_pairs(prepare))
    names = [(Path(one.film).stem, Path(other.film).stem) for one, other in found]
    assert names == [("p0_0", "p0_98"), ("p0_0", "p0_99"), ("p0_98", "p0_99")]
    network = Draws(read_pair(found[0][0], 64)[1])
    same, different = (drawn_twice(*two, network, 0.5) for two in found[:2])
    assert same == {"mask and mask": 1.0, "network and mask": pytest.approx(1.0, abs=0.01)}
    assert different["mask and mask"] < 0.95
    assert different["network and mask"] == pytest.approx((1 + different["mask and mask"]) / 2, abs=0.01)


def test_two_networks_learn_from_patients_that_the_other_never_saw(
    recipe: FitSection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    films, masks = (np.stack(part) for part in zip(*(phantom(seed, 32, 32) for seed in range(20)), strict=True))
    splits = ["train"] * 18 + ["val"] * 2
    pairs = [Pair("child", f"{at}.png", f"{at}.png", f"child/p{at // 2}", splits[at], 0, 0) for at in range(20)]
    learned: list[set[str]] = []
    fit = ceiling.fit

    def watched(films, masks, learn, check, section, resume):  # type: ignore[no-untyped-def]
        learned.append({pairs[at].patient for at in learn})
        return fit(films, masks, learn, check, section, resume)

    monkeypatch.setattr(ceiling, "fit", watched)
    monkeypatch.setattr(ceiling, "RESUME", tmp_path)
    section = TrainSection(**recipe.model_dump() | {"epochs": 1, "batch": 2})
    rows = halves(films, masks, pairs, section)
    assert learned[0] | learned[1] == {f"child/p{at}" for at in range(9)}
    assert not learned[0] & learned[1]
    assert [set(row) for row in rows] == [{"network and network", "first and mask", "second and mask"}] * 2
    assert not list(tmp_path.iterdir())
