from pathlib import Path

import pytest

from cxr.bundle.config import FLAGS, BundleFlag, read_config, write_config
from cxr.bundle.population import NOT_STATED
from cxr.core.errors import CxrError

SHIPPED = Path(__file__).parents[2] / "models/chest_xray/inference_config.yaml"


def test_the_shipped_bundle_is_read_and_names_its_training_population() -> None:
    config = read_config(SHIPPED)
    assert config.segment.min_quality == config.preparation.segment.settings["min_quality"] > 0
    assert config.flags == FLAGS
    assert config.population.age == (1, 5)


def test_the_config_is_read_back_unchanged(tmp_path: Path) -> None:
    config = read_config(SHIPPED).model_copy(update={"population": NOT_STATED})
    write_config(tmp_path / "config.yaml", config)
    assert read_config(tmp_path / "config.yaml") == config


def test_a_flag_of_a_later_version_needs_no_new_format(tmp_path: Path) -> None:
    later = BundleFlag(code="lateral", condition="the film is a lateral view")
    config = read_config(SHIPPED).model_copy(update={"flags": (*FLAGS, later)})
    write_config(tmp_path / "config.yaml", config)
    assert read_config(tmp_path / "config.yaml").flags[-1] == later


def test_an_older_bundle_is_rejected_with_the_commit_that_reads_it(tmp_path: Path) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    assert "format: 2" in text
    (tmp_path / "config.yaml").write_text(text.replace("format: 2", "format: 1"), encoding="utf-8")
    with pytest.raises(CxrError, match=r"bundle format 1, this version reads 2; .*commit 732980e"):
        read_config(tmp_path / "config.yaml")
