"""shard: data/npz -> data/shards."""

import logging
from pathlib import Path

from cxr.console.stage import run_stage
from cxr.shards.build import build_shards

log = logging.getLogger(__name__)


def main() -> None:
    """Pack the NPZ films into shards, which training memory-maps and a job downloads."""
    log.info("%d shards", build_shards(Path("data/npz"), Path("data/shards")))


if __name__ == "__main__":
    run_stage(main)
