"""The `data` section of params.yaml."""

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from cxr.core.config import Section


class Columns(Section):
    """Names of the columns of the label file."""

    path: str = "path"
    label: str = "label"
    patient_id: str = "patient_id"
    split: str = "split"


class DataSection(Section):
    """Where the films are, what they are called, how they are split and what is refused."""

    root: str = Field(min_length=1, description="folder of films, or a MedMNIST .npz")
    layout: Literal["folders", "csv", "dicom", "medmnist"]
    classes: tuple[str, ...] = Field(min_length=2, description="class names; of two, the second is positive")
    label_map: dict[str, str] = Field({}, description="other spellings of a label -> class name")
    path_pattern: str = Field("none", description="regular expression with named groups, searched in a film's path")
    patient_from: Literal["pattern", "column", "dicom", "image"]
    patient_tag: str = Field("PatientID", description="DICOM keyword that names the patient, with patient_from: dicom")
    labels_csv: str = Field("labels.csv", description="relative to root")
    columns: Columns = Columns()
    masks_dir: str = Field("none", description="reference lung masks inside root, or none")
    published_val: Literal["keep", "merge"] = "keep"
    val_fraction: float = Field(0.2, gt=0, lt=1, description="share of the training patients")
    test_fraction: float = Field(0.0, ge=0, lt=1, description="share of the patients; 0 = none is cut")
    seed: int = Field(13, ge=0)
    min_px: int = Field(64, ge=8, description="shortest side accepted, pixels")
    max_quarantined: float = Field(0.05, ge=0, le=1, description="share of the films that may be refused")
    on_leakage: Literal["error", "drop_from_train"] = "error"

    @field_validator("classes")
    @classmethod
    def _distinct(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if len({name.lower() for name in classes}) < len(classes) or any("|" in name for name in classes):
            raise ValueError("class names must differ, whatever their case, and hold no '|'")
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
            raise ValueError("patient_from: pattern needs a group (?P<patient_id>…) in path_pattern")
        if self.patient_from == "column" and self.layout not in ("csv", "dicom"):
            raise ValueError("patient_from: column needs layout csv or dicom")
        return self
