"""shard: data/npz -> data/shards."""

import logging
from pathlib import Path

from cxr.npz.pack import build_shards
from cxr.runtime.console import run_stage

log = logging.getLogger(__name__)


def main() -> None:
    """Pack the NPZ films into shards, which training memory-maps and a SageMaker job downloads."""
    log.info("%d shards", build_shards(Path("data/npz"), Path("data/shards")))


if __name__ == "__main__":
    run_stage(main)
