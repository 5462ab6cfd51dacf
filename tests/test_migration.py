"""docs/migration.md answers every part of the two original projects, with commands, settings and files that exist.

tests/test_readme.py checks links, modules, `make` targets and options of `python -m cxr` on every page, this one too.
"""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.utils.hydra import apply_overrides

from cxr.aws.config import SageMakerSection
from cxr.core.config import read_yaml, section_errors, validation_errors
from cxr.predict.service import requests
from cxr.runtime.compute import Compute
from stages.check import SECTIONS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/migration.md").read_text(encoding="utf-8")
ROWS = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| ")]
HERE = "\n".join(here for _, here in ROWS)
CODE = [part for here in (HERE, *re.split(r"(?m)^\|.*$", PAGE)) for part in re.findall(r"`([^`]+)`", here)]
CHANGES = [part for part in CODE if part.startswith("-S ") and "…" not in part]
# Parts of the original projects: each has a row of its own or shares one.
HAD = """
sm_jobs/sagemaker_train.py prepare_dataset.py train.py inference.py model_fn input_fn predict_fn output_fn
--epochs --batch_size --learning_rate --img_size --use_amp --scheduler patience type models/resnet34.py
models/resnet50.py SM_CHANNEL_TRAIN SM_CHANNEL_VAL SM_CHANNEL_TEST SM_MODEL_DIR SM_CHECKPOINT_DIR
x-ray-v2/{train,val,test} sagemaker-output/ sagemaker-code/ sagemaker-checkpoints/ configs/prepare_config.yaml
configs/train_config.yaml configs/inference_config.yaml {patient_id}.npz npz/ mask MLflow TorchScript threshold Hugging
"""


def test_every_part_of_the_original_projects_has_a_row() -> None:
    had = "\n".join(row[0] for row in ROWS)
    assert [part for part in HAD.split() if part not in had] == []
    assert {len(row) for row in ROWS} == {2}
    assert len(PAGE.split()) <= 900


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_of_a_parameter_is_one_that_dvc_writes_and_the_sections_take(change: str, tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_bytes((ROOT / "params.yaml").read_bytes())
    before: dict[str, Any] = read_yaml(params)
    words = shlex.split(change)
    assert words[::2] == ["-S"] * (len(words) // 2)
    apply_overrides(params, words[1::2])
    after: dict[str, Any] = read_yaml(params)
    assert section_errors(after, SECTIONS, "docs/migration.md") == []
    assert after != before


def test_every_setting_exists_and_may_have_the_value_that_is_shown() -> None:
    documents = {"params.yaml": read_yaml(ROOT / "params.yaml"), "compute.yaml": read_yaml(ROOT / "compute.yaml")}
    sections = [*SECTIONS, "sagemaker"]
    known = documents["params.yaml"] | documents["compute.yaml"]
    named = [part.partition(": ") for part in CODE if re.match(rf"({'|'.join(sections)}|backend)[.:]", part)]
    assert len(named) >= 10
    for name, _, value in named:
        *parents, last = name.split(".")
        section = known
        for parent in parents:
            section = section[parent]
        assert last in section, name
        section[last] = yaml.safe_load(value) if value else section[last]
    assert section_errors(documents["params.yaml"], SECTIONS, "docs/migration.md") == []
    compute = documents["compute.yaml"] | {name: known[name] for name in documents["compute.yaml"]}
    assert validation_errors(compute, Compute, "docs/migration.md") == []
    assert validation_errors(compute["sagemaker"], SageMakerSection, "docs/migration.md") == []
    assert {
        part for part in re.findall(r"sections? (.*?)(?:[;|]|$)", HERE) for part in re.findall(r"`(\w+)`", part)
    } <= {*SECTIONS}


def test_every_variable_stage_function_recipe_and_file_exists() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "cxr").rglob("*.py"))
    variables = set(re.findall(r"\b(?:CXR|MLFLOW)_\w+", HERE))
    assert len(variables) == 4
    assert [name for name in variables if f'"{name}"' not in code and f"${name}" not in settings_text()] == []
    for name in ("model_fn", "input_fn", "predict_fn", "output_fn"):
        assert callable(getattr(requests, name))
    stages = read_yaml(ROOT / "dvc.yaml")["stages"]
    assert set(re.findall(r"dvc repro (\w+)", HERE)) == {"shard", "train", "evaluate", "package"} <= {*stages}
    assert set(re.findall(r"cxr recipes (\w+)", HERE)) == {"efficientnet_b0", "resnet34"} <= {*recipes()}
    outs = [
        name
        for stage in stages.values()
        for out in [*stage["outs"], *stage.get("metrics", [])]
        for name in [*names(out)]
    ]
    for part in CODE:
        if re.fullmatch(r"(cxr|models|data)/[\w./]+", part):
            made = any(part.rstrip("/").startswith(out) for out in outs)
            assert made or (ROOT / part).exists(), part
    guide = (ROOT / "docs/aws.md").read_text(encoding="utf-8")
    prefixes = [row[0] for row in ROWS if re.fullmatch(r"`sagemaker-\w+/`", row[0])]
    assert len(prefixes) == 3
    assert [prefix for prefix in prefixes if f"| {prefix[:-2]}/" not in guide] == []


def settings_text() -> str:
    return (ROOT / "compute.yaml").read_text(encoding="utf-8")


def recipes() -> dict[str, Any]:
    return dict(read_yaml(ROOT / "recipes.yaml"))


def names(out: str | dict[str, Any]) -> list[str]:
    """The path of an out, with or without settings of its own."""
    return [out] if isinstance(out, str) else [*out]
