"""Delete per-film results that no run has used for some time: `python -m tools.prune_cache --days 30`."""

import argparse
import logging

from cxr.films.cache import cache_root, prune
from cxr.runtime.console import run_stage

log = logging.getLogger(__name__)


def main() -> None:
    """Prune the per-film cache of this checkout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=float, default=30, help="entries unused for longer are deleted (default 30)")
    files, size = prune(cache_root(), parser.parse_args().days)
    log.info("%d entries, %.1f MB deleted from %s", files, size / 1e6, cache_root())


if __name__ == "__main__":
    run_stage(main)
