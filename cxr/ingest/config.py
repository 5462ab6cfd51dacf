"""The `data` section of params.yaml."""

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from cxr.core.config import Section

DEMO = Path("data/demo")  # the cohort that the demo stage writes


class Columns(Section):
    """Column names of the label file."""

    path: str
    label: str
    patient_id: str
    split: str


class DataSection(Section):
    """Location, layout and labels of the films, patient ids, splits, and limits for quarantine."""

    root: str = Field(min_length=1)
    layout: Literal["folders", "csv", "dicom", "medmnist"]
    classes: tuple[str, ...] = Field(min_length=2)
    label_map: dict[str, str]
    path_pattern: str
    patient_from: Literal["pattern", "column", "dicom", "image"]
    patient_tag: str
    patient_ids: Literal["auto", "hashed", "as_is"]
    labels_csv: str
    columns: Columns
    masks_dir: str
    published_val: Literal["keep", "merge"]
    val_fraction: float = Field(gt=0, lt=1)
    test_fraction: float = Field(ge=0, lt=1)
    seed: int = Field(ge=0)
    min_px: int = Field(ge=8)
    max_quarantined: float = Field(ge=0, le=1)
    on_leakage: Literal["error", "drop_from_train"]

    @property
    def masks_folder(self) -> Path | None:
        """The folder of reference masks, which may be missing when params.yaml names it; None without masks."""
        if self.masks_dir != "auto":
            return None if self.masks_dir == "none" else Path(self.root) / self.masks_dir
        folder = Path(self.root) / "lung_masks"
        return folder if folder.is_dir() else None

    @field_validator("classes")
    @classmethod
    def _distinct(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if len({name.lower() for name in classes}) < len(classes) or any("|" in name for name in classes):
            raise ValueError("class names must differ in more than case and contain no '|'")
        return classes

    @field_validator("path_pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return pattern

    @model_validator(mode="after")
    def _consistent(self) -> "DataSection":
        groups = re.compile(self.path_pattern).groupindex if self.path_pattern != "none" else {}
        if self.patient_from == "pattern" and "patient_id" not in groups:
            raise ValueError(
                "patient_from: pattern needs a group (?P<patient_id>…) in path_pattern; "
                "set patient_from: image if each film is of another patient"
            )
        if self.patient_from == "column" and self.layout not in ("csv", "dicom"):
            raise ValueError("patient_from: column needs layout csv or dicom")
        return self


def demo_not_drawn(settings: DataSection) -> bool:
    """Whether `data.root` is the demo's folder and is missing or empty, as it is after a run with another root."""
    return Path(settings.root) == DEMO and not (DEMO.is_dir() and any(DEMO.iterdir()))


def missing_films(settings: DataSection) -> list[str]:
    """An error line when `data.root` is missing and not written by the demo stage."""
    root = Path(settings.root)
    if root.exists() or root == DEMO:
        return []
    return [f"params.yaml: data.root: {root} is missing; copy the films, or fetch them with `dvc pull`"]
