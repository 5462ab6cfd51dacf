from pathlib import Path

import pytest

from cxr.core.errors import CxrError
from cxr.ingest.config import DataSection
from cxr.ingest.masks import reference_masks
from tests.settings import section

FOUR = ["test/NORMAL/1.png", "test/PNEUMONIA/1.png", "train/NORMAL/1.png", "train/PNEUMONIA/1.png"]


def match(films: list[str], masks: list[str], masks_dir: str = "masks") -> dict[str, str]:
    """The masks of some films, as paths below the folder of masks."""
    for mask in masks:
        path = Path("films/masks") / mask
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    settings = section(
        DataSection,
        root="films",
        layout="folders",
        classes=("normal", "pneumonia"),
        patient_from="image",
        masks_dir=masks_dir,
    )
    found = reference_masks(films, settings)
    return {film: Path(mask).relative_to("films/masks").as_posix() for film, mask in found.items()}


def test_a_mask_belongs_to_the_film_with_its_stem(workspace: Path) -> None:
    masks = ["a.png", "elsewhere/b.png"]
    assert match(["NORMAL/a.jpeg", "NORMAL/b.dcm", "NORMAL/c.png"], masks) == {
        "NORMAL/a.jpeg": "a.png",
        "NORMAL/b.dcm": "elsewhere/b.png",
    }


def test_two_films_of_one_stem_in_different_folders_do_not_share_a_mask(workspace: Path) -> None:
    assert match(FOUR, ["train/NORMAL/1.png", "test/PNEUMONIA/1.png"]) == {
        "train/NORMAL/1.png": "train/NORMAL/1.png",
        "test/PNEUMONIA/1.png": "test/PNEUMONIA/1.png",
    }


@pytest.mark.parametrize("masks", [["train/1.png", "test/1.png"], ["NORMAL/1.png", "PNEUMONIA/1.png"]])
def test_some_of_a_films_folders_are_enough_to_assign_masks(workspace: Path, masks: list[str]) -> None:
    films = ["train/NORMAL/1.jpg", "test/PNEUMONIA/1.jpg"]
    assert match(films, masks) == dict(zip(films, masks, strict=True))


@pytest.mark.parametrize("mask", ["1.png", "train/1.png"])
def test_a_mask_that_matches_two_films_is_an_error_that_names_both(workspace: Path, mask: str) -> None:
    message = rf"{mask} matches both \S+NORMAL/1\.png and \S+PNEUMONIA/1\.png; move it to .* such as t"
    with pytest.raises(CxrError, match=message):
        match(FOUR, [mask])


@pytest.mark.parametrize("masks", [["1.png", "train/1.png"], ["one/1.png", "two/1.png"]])
def test_two_masks_of_one_film_are_an_error_that_names_both(workspace: Path, masks: list[str]) -> None:
    with pytest.raises(CxrError, match=rf"{masks[0]} and {masks[1]} are both the mask of {FOUR[2]}; keep one"):
        match(FOUR[2:3], masks)


def test_masks_can_be_disabled_and_a_missing_folder_is_named(workspace: Path) -> None:
    assert match(FOUR, ["1.png"], masks_dir="none") == {}
    with pytest.raises(CxrError, match=r"data\.masks_dir: no folder films/nowhere; .*set it to none"):
        match(FOUR, ["1.png"], masks_dir="nowhere")
