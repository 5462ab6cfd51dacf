"""ingest: data.root -> data/manifest.csv, data/quarantine.csv, data/audit.json and so on."""

from pathlib import Path

from cxr.core.config import load_section
from cxr.ingest.config import DataSection
from cxr.ingest.ingest import ingest
from cxr.runtime.compute import load_compute
from cxr.runtime.console import run_stage


def main() -> None:
    """Index, validate, split and audit the films under data.root."""
    ingest(load_section("data", DataSection), load_compute(), Path("data"))


if __name__ == "__main__":
    run_stage(main)
