import re
from pathlib import Path

from cxr.bundle.config import read_config

SHIPPED = Path(__file__).parents[2] / "models/chest_xray/inference_config.yaml"


def test_the_shipped_bundle_is_read() -> None:
    config = read_config(SHIPPED)
    assert config.segment.min_quality == config.preparation.segment.settings["min_quality"] > 0


def test_a_bundle_from_before_masks_had_a_score_is_read_and_lets_none_fall_back_for_it(tmp_path: Path) -> None:
    text, count = re.subn(r"(?m)^ *min_quality: .*\n", "", SHIPPED.read_text(encoding="utf-8"))
    assert count == 1
    path = tmp_path / "inference_config.yaml"
    path.write_text(text, encoding="utf-8")
    config = read_config(path)
    assert "min_quality" not in config.preparation.segment.settings
    assert config.segment.min_quality == 0
    assert config.segment.min_area == config.preparation.segment.settings["min_area"]
