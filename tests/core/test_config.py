"""Sections of YAML files: what is read, and the one line that a mistake gives."""

from pathlib import Path
from typing import Self

import pytest
from pydantic import Field, model_validator

from cxr.compute.settings import Compute, load_compute
from cxr.core.config import Section, load_section
from cxr.core.errors import CxrError


class Recipe(Section):
    lr: float = Field(gt=0, le=1)
    epochs: int = Field(3, ge=1)
    note: str = "none"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.lr == 1 and self.epochs == 1:
            raise ValueError("lr 1 needs more than one epoch")
        return self


def params(folder: Path, text: str) -> Path:
    path = folder / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_number_in_scientific_notation_is_a_number(tmp_path: Path) -> None:
    path = params(tmp_path, "train:\n  lr: 1e-05\n")
    assert load_section("train", Recipe, path) == Recipe(lr=1e-5)


def test_a_section_cannot_be_changed_after_it_was_read(tmp_path: Path) -> None:
    section = load_section("train", Recipe, params(tmp_path, "train:\n  lr: 0.1\n"))
    with pytest.raises(ValueError, match="frozen"):
        section.lr = 0.2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "train:\n  lr: 0.1\n  epohcs: 4\n",
            r"params\.yaml: train\.epohcs: unknown parameter; did you mean 'epochs'\?",
        ),
        ("train:\n  epochs: 4\n", r"params\.yaml: train\.lr: missing; add it"),
        ("train:\n  lr: 7\n", r"params\.yaml: train\.lr: .*less than or equal to 1 \(got 7\)"),
        ("train:\n  lr: fast\n", r"params\.yaml: train\.lr: .*valid number.* \(got 'fast'\)"),
        ("train:\n  lr: 1\n  epochs: 1\n", r"params\.yaml: train: lr 1 needs more than one epoch$"),
        ("train: 3\n", r"params\.yaml: train: .*\(got 3\)"),
        ("trian:\n  lr: 1\n", r"params\.yaml: no section 'train'; did you mean 'trian'\?"),
        ("- lr\n", r"params\.yaml: expected a mapping"),
        ("train: [\n", r"params\.yaml: not valid YAML"),
    ],
)
def test_a_mistake_in_params_is_one_line_with_key_and_value(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CxrError, match=message) as caught:
        load_section("train", Recipe, params(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_missing_file_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(CxrError, match="no such file; run from the root"):
        load_section("train", Recipe, tmp_path / "params.yaml")


def test_compute_settings_default_to_this_machine(tmp_path: Path) -> None:
    path = tmp_path / "compute.yaml"
    path.write_text("workers: 3\n", encoding="utf-8")
    assert load_compute(path).n_workers == 3
    assert Compute().n_workers >= 1
    assert Compute().parallel.engine == "loky"


def test_an_unknown_engine_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "compute.yaml"
    path.write_text("parallel:\n  engine: spark\n", encoding="utf-8")
    with pytest.raises(CxrError, match=r"parallel\.engine: .*'loky'.*got 'spark'"):
        load_compute(path)
