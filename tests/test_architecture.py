"""docs/architecture.md against the code: its packages, their imports, and the stages that an edit reruns."""

import ast
import subprocess
from pathlib import Path

import pytest

from tests.test_dag import ROOT, STAGES, declared

PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
ROOMS = ("cxr", "demo", "segmenter")  # top-level folders of code that packages may import from
PACKAGES = sorted(path.parent.name for path in (ROOT / "cxr").glob("*/__init__.py"))


def table(heading: str) -> dict[str, list[str]]:
    """The rows of the first table under a heading, by their first cell, without backticks."""
    lines = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0].splitlines()
    rows = [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in lines if line[:1] == "|"]
    return {row[0]: row[1:] for row in rows[2:]}


def listed(cell: str) -> set[str]:
    return set() if cell == "none" else set(STAGES) if cell == "all" else set(cell.split(", "))


def imported_by(package: str) -> set[str]:
    """The other packages of cxr/, and the other rooms, that a package imports anywhere in its modules."""
    found = set()
    for path in (ROOT / "cxr" / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            for name in [f"{node.module}.{name}" for name in names] if isinstance(node, ast.ImportFrom) else names:
                parts = name.split(".")
                if parts[0] in ROOMS:
                    found.add(parts[1] if parts[0] == "cxr" else parts[0])
    return found - {package}


def rerun_by(path: str) -> set[str]:
    """The stages that declare a package or module, or the package of the module."""
    above = {path, str(Path(path).parent)}
    return {stage for stage in STAGES if above & set(declared(stage, "deps"))}


def single_modules() -> set[str]:
    """Modules that a stage declares without their package."""
    deps = {dep for stage in STAGES for dep in declared(stage, "deps")}
    return {dep.removeprefix("cxr/") for dep in deps if dep.startswith("cxr/") and dep.endswith(".py")}


def test_the_page_names_every_package_and_no_other() -> None:
    assert set(table("Packages")) == {*PACKAGES, *single_modules()}


def test_the_page_lists_the_imports_of_each_package() -> None:
    shown = {package: listed(table("Packages")[package][1]) for package in PACKAGES}
    assert shown == {package: imported_by(package) for package in PACKAGES}


def test_the_page_lists_the_stages_that_an_edit_reruns() -> None:
    shown = {name: listed(row[2]) for name, row in table("Packages").items()}
    assert shown == {name: rerun_by(f"cxr/{name}") for name in table("Packages")}


def test_packages_have_no_circular_imports() -> None:
    left = {package: imported_by(package) for package in PACKAGES}
    while left:
        free = {package for package, needed in left.items() if not needed & left.keys()}
        assert free, f"circular imports: {left}"
        left = {package: needed for package, needed in left.items() if package not in free}


def imported_folders(folder: str) -> set[str]:
    """The top-level names that the modules below a folder import."""
    found = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                found.add(str(node.module).split(".")[0])
            elif isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
    return found


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("testing", {"tests", "benchmarks"}),
        ("benchmarks", {"tests"}),
        *((folder, {"tests", "testing", "benchmarks"}) for folder in ("cxr", "demo", "scripts", "segmenter", "stages")),
    ],
)
def test_library_code_imports_neither_tests_nor_testing_nor_benchmarks(folder: str, forbidden: set[str]) -> None:
    found = imported_folders(folder)
    assert "cxr" in found
    assert not found & forbidden


def test_compute_settings_rerun_no_stage() -> None:
    for name in ("commands", "aws", "runtime/compute.py", "runtime/console.py"):
        assert (ROOT / "cxr" / name).exists()
        assert rerun_by(f"cxr/{name}") == set()
    for stage in STAGES:
        assert "compute.yaml" not in declared(stage, "deps")


def test_only_code_that_trains_reruns_training() -> None:
    assert {package for package in PACKAGES if "train" in rerun_by(f"cxr/{package}")} == {
        "core",
        "models",
        "train",
    }


def test_the_page_names_every_folder_of_the_repository() -> None:
    block = PAGE.partition("```\n")[2].partition("```")[0]
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    folders = {name.split("/")[0] for name in tracked.splitlines() if "/" in name}
    shown = {word.rstrip("/") for word in block.split() if word.endswith("/")}
    assert shown == {name for name in folders if not name.startswith(".")}
