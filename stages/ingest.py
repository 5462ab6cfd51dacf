"""ingest: data.root -> data/{manifest,quarantine,acquisition}.csv, data/audit.json, data/near_duplicates."""

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
