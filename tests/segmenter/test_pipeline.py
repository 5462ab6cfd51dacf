"""The pipeline's description agrees with its code."""

import ast
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from cxr.core.config import load_section
from segmenter.config import (
    EvaluateSection,
    ExportSection,
    PrepareSection,
    QuantiseSection,
    ScreenSection,
    TrainSection,
)

ROOT = Path(__file__).parents[2]
STAGES: dict[str, dict[str, Any]] = YAML(typ="safe", pure=True).load((ROOT / "segmenter/dvc.yaml").read_text())[
    "stages"
]
# What only carries values or hands over published weights; segmenter/dvc.yaml says why it is left out.
NO_DEPENDENCY = ("cxr/runtime/", "cxr/core/", "cxr/models/", "segmenter/config.py")
SECTIONS = {
    "prepare": PrepareSection,
    "screen": ScreenSection,
    "train": TrainSection,
    "evaluate": EvaluateSection,
    "export": ExportSection,
    "quantise": QuantiseSection,
}


def imports(module: str) -> set[str]:
    """First-party modules that a module imports, as paths from the root."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / module).read_text())):
        if isinstance(node, ast.ImportFrom):
            for name in (str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)):
                path = name.replace(".", "/") + ".py"
                if name.startswith(("cxr.", "segmenter.")) and (ROOT / path).is_file():
                    found.add(path)
    return found


def reached(stage: str) -> set[str]:
    """Modules that a stage imports, directly or not, without what is no dependency."""
    todo, seen = [f"segmenter/{stage}.py"], {f"segmenter/{stage}.py"}
    while todo:
        fresh = {path for path in imports(todo.pop()) - seen if not path.startswith(NO_DEPENDENCY)}
        seen |= fresh
        todo += fresh
    return seen


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_declares_the_code_that_it_reaches(stage: str) -> None:
    code = {dep.removeprefix("../") for dep in STAGES[stage]["deps"] if dep.startswith("../cxr")}
    code |= {f"segmenter/{dep}" for dep in STAGES[stage]["deps"] if dep.endswith(".py") and not dep.startswith("..")}
    assert code == reached(stage)


@pytest.mark.parametrize("stage", SECTIONS)
def test_the_committed_parameters_are_valid(stage: str) -> None:
    assert load_section(stage, SECTIONS[stage], ROOT / "segmenter/params.yaml")
