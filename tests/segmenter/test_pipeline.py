"""The pipeline's description agrees with its code."""

import ast
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from cxr.core.config import load_section
from segmenter.config import EvaluateSection, ExportSection, PrepareSection, ScreenSection, TrainSection

ROOT = Path(__file__).parents[2]
STAGES: dict[str, dict[str, Any]] = YAML(typ="safe", pure=True).load((ROOT / "segmenter/dvc.yaml").read_text())[
    "stages"
]
# What only carries values or hands over published weights; segmenter/dvc.yaml says why it is left out.
NO_DEPENDENCY = {"cxr/core", "cxr/models", "segmenter/config.py"}
SECTIONS = {
    "prepare": PrepareSection,
    "screen": ScreenSection,
    "train": TrainSection,
    "evaluate": EvaluateSection,
    "export": ExportSection,
}


def reached(stage: str) -> set[str]:
    """Packages `cxr/x` and files `segmenter/x.py` that a stage imports, directly or through segmenter/."""
    todo, seen = [f"segmenter/{stage}.py"], {f"segmenter/{stage}.py"}
    while todo:
        for node in ast.walk(ast.parse((ROOT / todo.pop()).read_text())):
            parts = str(node.module).split(".") if isinstance(node, ast.ImportFrom) else [""]
            found = "/".join(parts[:2]) + (".py" if parts[0] == "segmenter" else "")
            if parts[0] in ("cxr", "segmenter") and found not in seen:
                seen.add(found)
                if parts[0] == "segmenter":
                    todo.append(found)
    return seen


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_declares_the_code_that_it_reaches(stage: str) -> None:
    code = {dep for dep in STAGES[stage]["deps"] if dep.startswith("cxr/") or dep.endswith(".py")}
    assert code == reached(stage) - NO_DEPENDENCY


@pytest.mark.parametrize("stage", SECTIONS)
def test_the_committed_parameters_are_valid(stage: str) -> None:
    assert load_section(stage, SECTIONS[stage], ROOT / "segmenter/params.yaml")
