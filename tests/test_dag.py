"""dvc.yaml is the architecture: what a stage declares is exactly what it reaches."""

import ast
import importlib
import shutil
import subprocess
import sys
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

from cxr.train.config import LUNG_ENCODER, PRETRAINED, TrainSection
from stages.check import SECTIONS
from tests.settings import section

ROOT = Path(__file__).parents[1]
FIRST_PARTY = ("cxr", "demo", "scripts", "stages")
# Where a stage runs, how fast, and what it tells meanwhile change no result: no stage declares that code.
UNDECLARED = {"cxr/aws", "cxr/commands", "cxr/runtime/compute.py", "cxr/runtime/console.py"}
HEAVY = ("torch", "torchvision", "lightning", "timm", "sagemaker")


def load(name: str) -> dict[str, Any]:
    return dict(YAML(typ="safe", pure=True).load((ROOT / name).read_text(encoding="utf-8")))


STAGES: dict[str, dict[str, Any]] = load("dvc.yaml")["stages"]


def module_path(module: str) -> Path | None:
    base = ROOT / module.replace(".", "/")
    if base.with_suffix(".py").is_file():
        return base.with_suffix(".py")
    return base / "__init__.py" if (base / "__init__.py").is_file() else None


@cache
def imports(path: Path, first_party: bool = True) -> frozenset[str]:
    """Modules of this repository, or of other packages, that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        found |= set(names)
    if first_party:
        return frozenset(name for name in found if name.split(".")[0] in FIRST_PARTY and module_path(name))
    return frozenset(name for name in found if name.split(".")[0] not in {*FIRST_PARTY, *sys.stdlib_module_names})


def reached(stage: str) -> set[Path]:
    """Every first-party file that a stage imports, directly or not."""
    start = module_path(f"stages.{stage}")
    assert start is not None, f"no module stages/{stage}.py"
    todo, seen = [start], {start}
    while todo:
        for module in imports(todo.pop()):
            path = module_path(module)
            if path is not None and path not in seen:
                seen.add(path)
                todo.append(path)
    return seen


def packages(files: set[Path], declared: set[str]) -> set[str]:
    """Dependencies that cover the files: packages, or single modules where `declared` names them so.

    A module that is empty but for its docstring (`cxr/__init__.py`, `cxr/segment/__init__.py`) needs no dependency.
    """
    found = set()
    for path in files:
        name = path.relative_to(ROOT).as_posix()
        package = "/".join(name.split("/")[: 2 if name.startswith("cxr/") else 1])
        if name in declared or name.startswith("stages/"):
            found.add(name)
        elif not {package, name} & UNDECLARED and not only_docstring(path):
            found.add(package)
    return found


def only_docstring(path: Path) -> bool:
    return all(isinstance(node, ast.Expr) for node in ast.parse(path.read_text(encoding="utf-8")).body)


def declared(stage: str, kind: str) -> list[str]:
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in STAGES[stage].get(kind, [])]


def test_every_module_in_stages_is_a_stage_and_every_stage_has_a_module() -> None:
    modules = {path.stem for path in (ROOT / "stages").glob("*.py")} - {"__init__"}
    assert modules == set(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_declares_exactly_the_code_that_it_reaches(stage: str) -> None:
    code = {dep for dep in declared(stage, "deps") if dep.split("/")[0] in FIRST_PARTY}
    assert code == packages(reached(stage), code)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_declares_exactly_the_sections_that_it_loads(stage: str) -> None:
    loaded = set(SECTIONS) if stage == "check" else set()
    for path in reached(stage):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "load_section":
                assert path.parent.name == "stages", f"{path}: only a stage's edge loads a section"
                name = node.args[0]
                assert isinstance(name, ast.Constant)
                loaded.add(name.value)
    single = {"data.root"} if stage == "demo" else set()  # read without the rest of its section
    assert loaded | single == set(declared(stage, "params"))


def test_all_work_waits_for_the_check_of_all_settings() -> None:
    outs = {out: stage for stage in STAGES for kind in ("outs", "metrics") for out in declared(stage, kind)}
    assert outs.pop("data/checked") == "check"
    for stage in STAGES.keys() - {"check"}:
        deps = set(declared(stage, "deps"))
        assert deps & {"data/checked", *outs}, f"{stage} may run before the check"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_module_is_thin(stage: str) -> None:
    lines = (ROOT / "stages" / f"{stage}.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 60


@pytest.mark.parametrize("stage", STAGES)
def test_every_path_in_a_stage_module_is_declared(stage: str) -> None:
    """A literal path such as data/manifest.csv in a stage is one of its deps or outs, or lies below one."""
    known = [declared(stage, kind) for kind in ("deps", "outs", "metrics", "plots")]
    allowed = [Path(name) for names in known for name in names]
    for node in ast.walk(ast.parse((ROOT / "stages" / f"{stage}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Path" and node.args:
            argument = node.args[0]
            if isinstance(argument, ast.Constant) and argument.value.split("/")[0] in ("data", "models", "plots"):
                path = Path(argument.value)
                below = any(path == one or one in path.parents or path in one.parents for one in allowed)
                assert below, f"stages/{stage}.py: {path} is not declared in dvc.yaml"


def test_no_parameter_has_a_name_that_dvc_overlooks() -> None:
    def names(value: Any) -> list[str]:
        if not isinstance(value, dict):
            return []
        return [*value, *(name for child in value.values() for name in names(child))]

    assert not {"size", "nfiles"} & set(names(load("params.yaml")))


def test_every_section_of_params_belongs_to_a_stage() -> None:
    used = {name.split(".")[0] for stage in STAGES for name in declared(stage, "params")}
    assert used == set(load("params.yaml"))


def test_expensive_stages_have_only_cached_outs_so_that_the_run_cache_serves_them() -> None:
    for stage in ("segment", "preprocess", "train"):
        for kind in ("outs", "metrics", "plots"):
            for entry in STAGES[stage].get(kind, []):
                flags = next(iter(entry.values())) if isinstance(entry, dict) else {}
                assert flags.get("cache", True), f"{stage}: {entry}"
                assert not flags.get("persist", False), f"{stage}: {entry}"


def test_preparation_imports_no_deep_learning_library() -> None:
    stages = ", ".join(f"stages.{name}" for name in ("check", "demo", "ingest", "segment", "preprocess"))
    code = f"import {stages}, sys; print([name for name in {HEAVY!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("part", ["prepare", "train", "serve"])
def test_partial_requirements_are_subsets_of_the_lock(part: str) -> None:
    def pins(name: str) -> set[str]:
        lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
        return {line.split(";")[0].strip() for line in lines if "==" in line and not line.startswith((" ", "#"))}

    subset = pins(f"requirements-{part}.txt")
    assert subset
    assert subset <= pins("requirements.txt")


@pytest.mark.parametrize(
    ("part", "stages"),
    [("prepare", ("check", "demo", "ingest", "segment", "preprocess", "shard")), ("train", ("train",))],
)
def test_partial_requirements_name_every_package_that_their_stages_import(part: str, stages: tuple[str, ...]) -> None:
    """Anywhere in a module, but for the hand-off to SageMaker, and also where another package would bring it along."""
    here = {path for stage in stages for path in reached(stage) if "cxr/aws" not in path.as_posix()}
    imported = {name.split(".")[0] for path in here for name in imports(path, first_party=False)}
    lines = (ROOT / f"requirements-{part}.in").read_text(encoding="utf-8").splitlines()
    named = {canonicalize_name(line) for line in lines if line[:1].isalpha()}
    brought = packages_distributions()
    optional = {"distributed"}  # for a cluster: docs/operations.md
    missing = {name for name in imported if not named & {canonicalize_name(one) for one in brought[name]}}
    assert missing - optional == set()


def test_params_yaml_survives_dvc_rewriting_it_but_for_the_changed_line(tmp_path: Path) -> None:
    from dvc.utils.serialize import modify_yaml

    copy = tmp_path / "params.yaml"
    copy.write_text((ROOT / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    before = copy.read_text(encoding="utf-8").splitlines()
    with modify_yaml(str(copy)) as document:
        document["data"]["seed"] = 14
    after = copy.read_text(encoding="utf-8").splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert len(changed) == 1
    assert "seed: 14" in changed[0][1]


@pytest.mark.parametrize("stage", STAGES)
def test_params_yaml_shows_every_parameter_that_a_section_knows(stage: str) -> None:
    """No hidden defaults: what can be set is there to be seen, with its comment."""
    module = importlib.import_module(f"stages.{stage}")
    for node in ast.walk(ast.parse((ROOT / "stages" / f"{stage}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "load_section":
            section, model = node.args
            assert isinstance(section, ast.Constant)
            assert isinstance(model, ast.Name)
            assert set(getattr(module, model.id).model_fields) == set(load("params.yaml")[section.value])


def test_dvc_pushes_pulls_and_keeps_films_that_were_added_under_data_raw(tmp_path: Path) -> None:
    """DVC passes over `.dvc` files in a folder that .gitignore excludes, and `dvc checkout` then deletes the films."""
    from dvc.repo import Repo

    for name in (".gitignore", ".dvcignore", "data/raw/README.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / "data/raw/mine").mkdir()
    (tmp_path / "data/raw/mine/film.png").write_bytes(b"film")
    Repo.init(str(tmp_path))
    Repo(str(tmp_path)).add(str(tmp_path / "data/raw/mine"))
    assert [stage.path_in_repo for stage in Repo(str(tmp_path)).index.stages] == ["data/raw/mine.dvc"]
    found = subprocess.run(["git", "add", "-An", "data"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert set(found.stdout.splitlines()) == {"add 'data/raw/README.md'", "add 'data/raw/mine.dvc'"}


def test_dvc_at_the_root_knows_nothing_of_the_segmenter_pipeline() -> None:
    """Otherwise `dvc status`, `dvc pull` and `dvc exp apply` would ask for films that nobody has."""
    from dvc.repo import Repo

    paths = {stage.path_in_repo for stage in Repo(str(ROOT)).index.stages}
    assert "dvc.yaml" in paths
    assert not [path for path in paths if path.startswith("segmenter")]


def test_a_local_weights_file_lies_where_the_train_stage_sees_it_replaced() -> None:
    assert {PRETRAINED.as_posix(), LUNG_ENCODER.as_posix()} <= set(declared("train", "deps"))
    assert section(TrainSection, weights=LUNG_ENCODER.as_posix())
    assert section(TrainSection, weights=f"{PRETRAINED}/chest.safetensors")
    for elsewhere in (
        "chest.safetensors",
        "models/chest.pt",
        "/models/pretrained/chest.pt",
        f"{PRETRAINED}/../chest.pt",
    ):
        with pytest.raises(ValueError, match=r"a file in models/pretrained/ .tracked by DVC"):
            section(TrainSection, weights=elsewhere)
