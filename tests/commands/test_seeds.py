"""`python -m cxr seeds` over a toy pipeline whose metric is its seed."""

import json
from pathlib import Path

import pytest

from cxr.__main__ import main
from cxr.core.config import read_yaml
from cxr.core.errors import CxrError
from cxr.report.comparison import SEEDS
from cxr.report.experiments import scalars, settings_key


def test_seeds_are_summarised_and_an_interrupted_call_resumes(told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKEN", "4")
    with pytest.raises(CxrError, match=r"experiment seed-\w+-4: the run failed"):
        main(["seeds", "--count", "3"])
    assert told.read_text().split() == ["3", "4"]
    monkeypatch.delenv("BROKEN")
    main(["seeds", "--count", "3"])
    assert told.read_text().split() == ["3", "4", "4", "5"]
    found = json.loads(Path(SEEDS).read_text())
    assert found["figures"] == {"test.auroc": {"mean": 0.4, "sd": 0.1, "min": 0.3, "max": 0.5}}
    assert found["seeds"]["5"] == {"test.auroc": 0.5}
    assert Path("params.yaml").read_text().endswith("seed: 3\n")


def test_other_settings_or_code_are_new_runs(told: Path) -> None:
    pipeline = {"stages": {"train": {"deps": ["train.py"]}}}
    params = {"train": {"lr": 0.1, "seed": 3}}
    key = settings_key(params, pipeline)
    assert settings_key({"train": {"lr": 0.1, "seed": 4}}, pipeline) == key
    assert settings_key({"train": {"lr": 0.2, "seed": 3}}, pipeline) != key
    Path("train.py").write_text(Path("train.py").read_text() + "# edited\n")
    assert settings_key(params, pipeline) != key


def test_one_seed_is_an_error(told: Path) -> None:
    with pytest.raises(CxrError, match="two seeds or more"):
        main(["seeds", "--count", "1"])


def test_readme_says_what_the_committed_seeds_gave() -> None:
    root = Path(__file__).parents[2]
    found = json.loads((root / SEEDS).read_text())
    auroc, count = found["figures"]["test.auroc"], {5: "five"}[len(found["seeds"])]
    told = f"Over {count} training seeds the synthetic cohort gives a test AUROC of "
    told += f"{auroc['mean']:.3f} ± {auroc['sd']:.3f}"
    assert told in " ".join((root / "README.md").read_text().split())


def test_the_committed_results_are_one_of_the_committed_seeds() -> None:
    root = Path(__file__).parents[2]
    found, params = json.loads((root / SEEDS).read_text()), read_yaml(root / "params.yaml")
    metrics = json.loads((root / "metrics/metrics.json").read_text())
    assert found["seeds"][str(params["train"]["seed"])] == scalars(metrics)
