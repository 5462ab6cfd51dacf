"""params.yaml, compute.yaml and segmenter/params.yaml alone give a setting its value and say what it means."""

import difflib
import importlib
import itertools
import pkgutil
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from ruamel.yaml import YAML

import cxr
import demo
import segmenter
from cxr.core.config import Section, read_yaml, section_errors
from stages.check import SECTIONS

ROOT = Path(__file__).parents[1]


def sections() -> list[type[BaseModel]]:
    """Every section that the library knows."""
    for package in (cxr, demo, segmenter):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name.rpartition(".")[2] in ("config", "settings") and module.name != "cxr.aws.config":
                importlib.import_module(module.name)
    found: list[type[BaseModel]] = []
    todo: list[type[BaseModel]] = [Section]
    while todo:
        for model in todo.pop().__subclasses__():
            todo.append(model)
            if model.__module__.startswith(("cxr.", "demo.", "segmenter.")):
                found.append(model)
    return found


def has_pattern(field: FieldInfo) -> bool:
    return any(getattr(rule, "pattern", None) for rule in field.metadata)


def test_no_field_has_a_second_default_or_a_second_description() -> None:
    models = sections()
    assert {"TrainSection", "DataSection", "Compute", "SageMakerSection", "FitSection"} <= {
        model.__name__ for model in models
    }
    # Of a bundle, which may lack them, and of a site's own file of criteria, which gives one of two limits.
    optional = {("InferenceConfig", "population"), ("Step", "resizing"), ("SegmentStep", "resizing")}
    optional |= {("Criterion", "at_least"), ("Criterion", "at_most")}
    for model in models:
        for name, field in model.model_fields.items():
            if (model.__name__, name) in optional:
                continue
            assert field.default is PydanticUndefined, f"{model.__name__}.{name}: its value belongs into the YAML file"
            assert field.default_factory is None, f"{model.__name__}.{name}: its value belongs into the YAML file"
            told = field.description is not None  # a mistake has to say in words what a pattern means
            assert told == has_pattern(field), f"{model.__name__}.{name}: the comment in the YAML file describes it"


@pytest.mark.parametrize("name", ["params.yaml", "compute.yaml", "segmenter/params.yaml"])
def test_every_setting_is_described_on_its_line(name: str) -> None:
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        if re.match(r" *\w+: +[^ #]", line):
            assert re.search(r"  # \w", line), f"{name}: {line}"


def commands() -> list[tuple[str, list[str]]]:
    """Every `dvc exp run` of README and the pages, with its words."""
    found = []
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        text = re.sub(r"\\\n *", "", page.read_text(encoding="utf-8"))  # a command on several lines
        for command in re.findall(r"(?m)^(?:\| `)?(dvc exp run [^`\n]*)", text):
            found.append((page.name, shlex.split(command, comments=True)))
    return found


@pytest.mark.parametrize(("page", "words"), commands())
def test_the_parameters_of_every_command_of_the_pages_exist_and_may_have_these_values(
    page: str, words: list[str]
) -> None:
    document: dict[str, Any] = read_yaml(ROOT / "params.yaml")
    for option, change in itertools.pairwise(words):
        if option == "-S":
            name, _, value = change.removeprefix("+").partition("=")
            *parents, last = name.split(".")
            section = document
            for parent in parents:
                section = section[parent]
            section[last] = YAML(typ="safe").load(value)
    assert section_errors(document, SECTIONS, page) == []


@pytest.mark.parametrize(
    ("change", "classes"),
    [
        ("data.classes=['no finding','lung opacity']", ["no finding", "lung opacity"]),
        ('data.classes=["정상","폐렴 의심"]', ["정상", "폐렴 의심"]),
        ("data.classes=[no finding,COVID-19]", ["no finding", "COVID-19"]),
        ("data.classes=['grade (1)','grade, other']", ["grade (1)", "grade, other"]),
    ],
)
def test_class_names_with_spaces_can_be_given_to_dvc_exp_run(tmp_path: Path, change: str, classes: list[str]) -> None:
    params = tmp_path / "params.yaml"
    before = (ROOT / "params.yaml").read_text(encoding="utf-8")
    params.write_text(before, encoding="utf-8")
    apply_overrides(params, [change])  # as `dvc exp run -S`
    document = read_yaml(params)
    assert document["data"]["classes"] == classes
    assert section_errors(document, SECTIONS, "params.yaml") == []
    lines = difflib.ndiff(before.splitlines(), params.read_text("utf-8").splitlines())
    assert sorted(line[2:] for line in lines if line[0] == "+") == sorted(f"  - {name}" for name in classes)
