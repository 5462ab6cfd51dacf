"""segment: data/manifest.csv, models/lung_segmenter.onnx -> data/masks, data/masks.csv."""

from pathlib import Path

from cxr.core.config import load_section
from cxr.runtime.compute import load_compute
from cxr.runtime.console import run_stage
from cxr.segment.config import SegmentSection
from cxr.segment.segment import segment_cohort


def main() -> None:
    """Find the lungs on every film of the manifest."""
    segment_cohort(
        Path("data/manifest.csv"),
        Path("models/lung_segmenter.onnx"),
        Path("data/masks"),
        Path("data/masks.csv"),
        load_section("segment", SegmentSection),
        load_compute(),
    )


if __name__ == "__main__":
    run_stage(main)
