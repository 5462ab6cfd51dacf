"""Sections of YAML files: parsing, and one-line errors."""

from pathlib import Path
from typing import Self

import pytest
from pydantic import Field, model_validator

from cxr.core.config import Section, load_section
from cxr.core.errors import CxrError
from cxr.runtime.compute import load_compute
from tests.settings import ROOT, machine


class Recipe(Section):
    lr: float = Field(gt=0, le=1)
    epochs: int = Field(ge=1)

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
    path = params(tmp_path, "train:\n  lr: 1e-05\n  epochs: 3\n")
    assert load_section("train", Recipe, path) == Recipe(lr=1e-5, epochs=3)


def test_a_section_cannot_be_changed_after_it_was_read(tmp_path: Path) -> None:
    section = load_section("train", Recipe, params(tmp_path, "train:\n  lr: 0.1\n  epochs: 3\n"))
    with pytest.raises(ValueError, match="frozen"):
        section.lr = 0.2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "train:\n  lr: 0.1\n  epochs: 3\n  epohcs: 4\n",
            r"params\.yaml: train\.epohcs: unknown parameter; did you mean 'epochs'\?",
        ),
        ("train:\n  epochs: 4\n", r"params\.yaml: train\.lr: missing .*restore the line \(`git diff` shows it\)"),
        ("train:\n  lr: 7\n  epochs: 3\n", r"params\.yaml: train\.lr: .*less than or equal to 1 \(got 7\)"),
        ("train:\n  lr: fast\n  epochs: 3\n", r"params\.yaml: train\.lr: .*valid number.* \(got 'fast'\)"),
        ("train:\n  lr: 1\n  epochs: 1\n", r"params\.yaml: train: lr 1 needs more than one epoch$"),
        ("train: 3\n", r"params\.yaml: train: .*\(got 3\)"),
        ("trian:\n  lr: 1\n", r"params\.yaml: no section 'train'; did you mean 'trian'\?"),
        ("- lr\n", r"params\.yaml: expected a mapping"),
        ("train: [\n", r"params\.yaml: not valid YAML"),
    ],
)
def test_an_error_in_params_is_one_line_with_key_and_value(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CxrError, match=message) as caught:
        load_section("train", Recipe, params(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_the_error_for_a_missing_file_names_the_folder_to_run_in(tmp_path: Path) -> None:
    with pytest.raises(CxrError, match="no such file; run from the root"):
        load_section("train", Recipe, tmp_path / "params.yaml")


def test_the_number_of_workers_is_given_or_the_number_of_cores() -> None:
    assert machine(workers=3).n_workers == 3
    assert machine(workers="auto").n_workers >= 1


def test_an_unknown_engine_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "compute.yaml"
    text = (ROOT / "compute.yaml").read_text(encoding="utf-8")
    path.write_text(text.replace("engine: loky", "engine: spark"), encoding="utf-8")
    with pytest.raises(CxrError, match=r"parallel\.engine: .*'loky'.*got 'spark'"):
        load_compute(path)
