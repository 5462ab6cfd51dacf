"""The `data` section of params.yaml."""

import re
import unicodedata
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from cxr.core.config import Section

DEMO = Path("data/demo")  # the cohort that the demo stage writes
FOLDS = 5  # of a cross-fitted evaluation


EXCLUDE = "exclude"  # in place of a class: the film is left out


class Columns(Section):
    """Column names of the label file."""

    path: str
    label: str
    patient_id: str
    split: str


class LabelRule(Section):
    """A class, or `exclude`, for rows with a finding or with a value in a column."""

    column: str  # empty, as in a rule that names none: the findings of columns.label
    value: str  # a finding or a value; * is any
    label: str

    @model_validator(mode="before")
    @classmethod
    def _of_findings(cls, rule: Any) -> Any:
        return {"column": "", **rule} if isinstance(rule, dict) else rule

    @field_validator("value", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int | float) else value


class OtherTable(Section):
    """Another table: columns for the rows of `labels_csv`, joined by a key, or more rows."""

    csv: str  # relative to root
    on: tuple[str, ...]  # columns of the key, in both tables; empty, as in an entry that names none: more rows

    @model_validator(mode="before")
    @classmethod
    def _one_key(cls, table: Any) -> Any:
        if not isinstance(table, dict):
            return table
        key = table.get("on", [])
        return {**table, "on": [key] if isinstance(key, str) else key}


class DataSection(Section):
    """Location, layout and labels of the films, patient ids, splits, and limits for quarantine."""

    root: str = Field(min_length=1)
    layout: Literal["folders", "csv", "dicom", "medmnist"]
    classes: tuple[str, ...] = Field(min_length=2)
    label_map: dict[str, str]
    label_separator: str = Field(min_length=1)
    label_rules: tuple[LabelRule, ...]
    path_pattern: str
    patient_from: Literal["pattern", "column", "dicom", "image"]
    patient_tag: str
    patient_ids: Literal["auto", "hashed", "as_is"]
    labels_csv: str = Field(min_length=1)
    tables: tuple[OtherTable, ...]
    columns: Columns
    split_map: dict[str, Literal["train", "val", "test", "exclude"]]
    split_lists: dict[Literal["train", "val", "test"], str]
    ignore: tuple[str, ...]
    masks_dir: str = Field(min_length=1)
    published_val: Literal["keep", "merge"]
    val_fraction: float = Field(gt=0, lt=1)
    test_fraction: float = Field(ge=0, lt=1)
    fold: Annotated[int, Field(ge=0, lt=FOLDS)] | Literal["none"]
    seed: int = Field(ge=0)
    min_px: int = Field(ge=8)
    max_quarantined: float = Field(ge=0, le=1)
    on_leakage: Literal["error", "drop_from_train"]

    @property
    def cuts_validation(self) -> bool:
        """Whether a given validation set is pooled with train, and another one is cut."""
        return self.published_val == "merge" or self.fold != "none"

    @property
    def validation_share(self) -> float:
        """Share of the training patients in a validation set that is cut."""
        return self.val_fraction if self.fold == "none" else 1 / FOLDS

    @field_validator("label_map", mode="before")
    @classmethod
    def _text_keys(cls, mapping: Any) -> Any:
        """YAML reads an unquoted 1.0 or true as a number or a boolean."""
        return {str(key): value for key, value in mapping.items()} if isinstance(mapping, dict) else mapping

    @field_validator("masks_dir")
    @classmethod
    def _one_level(cls, folder: str) -> str:
        if "**" in folder or ("*" in folder and Path(folder).is_absolute()):
            raise ValueError("write a folder, or a pattern inside data.root with one * per level, such as */masks")
        return folder

    @field_validator("classes")
    @classmethod
    def _distinct(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if len({name.lower() for name in classes}) < len(classes) or any("|" in name for name in classes):
            raise ValueError("class names must differ in more than case and contain no '|'")
        if EXCLUDE in classes:
            raise ValueError(f"{EXCLUDE!r} leaves films out and is no class name; choose another")
        return tuple(unicodedata.normalize("NFC", name) for name in classes)

    @field_validator("path_pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        composed = unicodedata.normalize("NFC", pattern)
        try:
            re.compile(composed)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return composed

    @model_validator(mode="after")
    def _consistent(self) -> "DataSection":
        groups = re.compile(self.path_pattern).groupindex if self.path_pattern != "none" else {}
        if self.patient_from == "pattern" and "patient_id" not in groups:
            raise ValueError(
                "patient_from: pattern needs a group (?P<patient_id>…) in path_pattern; "
                "set patient_from: image if each film is of another patient"
            )
        if "split" in groups and self.layout not in ("csv", "dicom"):
            raise ValueError("path_pattern: the group split needs layout csv or dicom; other layouts have folders")
        if self.patient_from == "column" and self.layout not in ("csv", "dicom"):
            raise ValueError("patient_from: column needs layout csv or dicom")
        known = {_letters(name) for name in (*self.classes, EXCLUDE)}
        expected = ", ".join((*self.classes, EXCLUDE))
        for rule in self.label_rules:
            if _letters(rule.label) not in known:
                raise ValueError(f"label_rules: {rule.label!r} is no class; expected {expected}")
        for raw, name in self.label_map.items():
            if _letters(name) not in known:
                raise ValueError(f"label_map: {raw!r}: {name!r} is no class; expected {expected}")
        return self


def demo_not_drawn(settings: DataSection) -> bool:
    """Whether `data.root` is the demo's folder and is missing or empty, as it is after a run with another root."""
    return Path(settings.root) == DEMO and not (DEMO.is_dir() and any(DEMO.iterdir()))


def missing_films(settings: DataSection) -> list[str]:
    """An error line when `data.root` is missing and not written by the demo stage."""
    root = Path(settings.root)
    if root.exists() or root == DEMO:
        return []
    alike = same_letters(root)
    if alike:
        return [
            f"params.yaml: data.root: {root} is missing; a folder has the same letters in another Unicode form, as "
            f"a Mac writes it: rename it with `mv '{alike}' '{root}'`"
        ]
    return [f"params.yaml: data.root: {root} is missing; copy the films, or fetch them with `dvc pull`"]


def same_letters(path: Path) -> Path | None:
    """The path on disk whose name differs from `path` in its Unicode form only; None without one."""
    wanted = unicodedata.normalize("NFC", str(path))
    folder = path.parent if path.parent.is_dir() or path.parent == path else same_letters(path.parent)
    found = folder.iterdir() if folder and folder.is_dir() else ()
    return next((one for one in found if unicodedata.normalize("NFC", str(one)) == wanted), None)


def inside(root: Path, name: str) -> Path:
    """A file or folder of the settings, in the Unicode form that it has on disk; as written where it is missing."""
    path = root / name
    return path if path.exists() else same_letters(path) or path


def _letters(name: str) -> str:
    return unicodedata.normalize("NFC", name).lower()
