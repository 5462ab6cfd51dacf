"""preprocess: data/manifest.csv, data/masks -> data/npz, one NPZ per film."""

from pathlib import Path

from cxr.core.config import load_section
from cxr.preprocess.build import build_npz_set
from cxr.preprocess.config import PreprocessSection
from cxr.runtime.compute import load_compute
from cxr.runtime.console import run_stage


def main() -> None:
    """Prepare every film of the manifest."""
    settings = load_section("preprocess", PreprocessSection)
    build_npz_set(Path("data/manifest.csv"), Path("data/masks"), Path("data/npz"), settings, load_compute())


if __name__ == "__main__":
    run_stage(main)
