"""`python -m cxr recipes` over a toy pipeline in which a crop helps plain validation and harms everything else."""

from pathlib import Path
from typing import Any

import pytest

from cxr.__main__ import main
from cxr.core.config import read_yaml
from cxr.core.errors import CxrError
from cxr.report.experiments import CHECKS, SHIFT, VIEWS, table, view_metrics
from cxr.report.revisions import METRICS, Revision


@pytest.fixture
def runs(told: Path) -> Path:
    """The toy repository with three recipes."""
    Path("recipes.yaml").write_text("default: {}\ncrop:\n  train.region: crop\nslow:\n  train.lr: 0.01\n")
    return told


def test_recipes_are_compared_and_finished_runs_are_not_repeated(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["recipes", "default", "crop"])
    text = capsys.readouterr().out
    assert "| default | 1 | 0.990 [0.890, 1.090] | 0.900" in text
    assert "| crop | 1 | 1.000 [0.900, 1.100] | 0.900 [0.800, 1.000] | 0.700" in text
    assert "| HOG features, default | – | 0.800 | – | 0.600 [0.500, 0.700] | – | 0.700 [0.600, 0.800] | – | – |" in text
    assert Path("reports/recipes.md").read_text() == text.rstrip("\n") + "\n"
    main(["recipes", "default", "crop", "--seeds", "2"])
    assert runs.read_text().split() == ["3", "3", "4", "4"]
    assert "| crop | 2 | 1.000 ± 0.000 | 0.900 ± 0.000 | 0.700 ± 0.000 | – | 0.300 ± 0.071" in capsys.readouterr().out
    assert Path("params.yaml").read_text().endswith("region: none\n  seed: 3\n")


def test_other_settings_for_every_recipe_are_new_runs(runs: Path) -> None:
    main(["recipes", "default"])
    main(["recipes", "default", "-S", "train.lr=0.2"])
    assert runs.read_text().split() == ["3", "3"]


def test_a_view_that_ranks_the_recipes_in_reverse_is_named() -> None:
    rows = {
        name: [{"validation": {"auroc": 1 - test}, "swapped": {"auroc": test}, "test": {"auroc": test}}]
        for name, test in {"a": 0.9, "b": 0.8, "c": 0.7}.items()
    }
    text = table(rows)
    assert "- validation: -1.00" in text
    assert "- swapped: 1.00" in text
    assert "- corrupted" not in text


def test_the_table_shows_the_macro_auroc_for_three_classes() -> None:
    class Run(Revision):
        def json(self, path: str) -> dict[str, Any]:
            hog = {"baselines": {"hog_logistic": {"macro_auroc": 0.6}}, "split": "test"}
            views = {view: {"macro_auroc": 0.9, "macro_auroc_hog": 0.8} for view in VIEWS}
            return {METRICS: {"test": {"macro_auroc": 0.7}}, CHECKS: hog, SHIFT: views}[path]

    text = table({"default": [view_metrics(Run("workspace"))]})
    assert "| default | 1 | 0.900 | 0.900 | 0.900 | 0.900 | 0.700 | – | – |" in text
    assert "| HOG features, default | – | 0.800 | 0.800 | 0.800 | 0.800 | 0.600 | – | – |" in text


def test_a_misspelt_recipe_is_a_one_line_error(runs: Path) -> None:
    with pytest.raises(CxrError, match="no recipe 'corp'; did you mean 'crop'"):
        main(["recipes", "corp"])
    assert not runs.exists()


def test_every_recipe_of_the_repository_changes_parameters_that_exist() -> None:
    root = Path(__file__).parents[2]
    params = read_yaml(root / "params.yaml")
    for recipe, changes in read_yaml(root / "recipes.yaml").items():
        for name, value in (changes or {}).items():
            section = params
            *path, key = name.split(".")
            for part in path:
                section = section[part]
            assert key in section, f"{recipe}: {name}"
            assert section[key] != value or isinstance(value, bool), f"{recipe}: {name} is what params.yaml says anyway"
