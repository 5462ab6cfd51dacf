from pathlib import Path

from cxr.bundle.config import read_config

SHIPPED = Path(__file__).parents[2] / "models/chest_xray/inference_config.yaml"


def test_a_bundle_from_before_masks_had_a_score_is_read_and_lets_none_fall_back_for_it() -> None:
    config = read_config(SHIPPED)
    assert "min_quality" not in config.preparation.segment.settings
    assert config.segment.min_quality == 0
    assert config.segment.min_area == config.preparation.segment.settings["min_area"]
