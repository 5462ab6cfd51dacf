"""Put the NPZ set on S3 as SageMaker channels: `python -m tools.publish_npz s3://bucket/npz/`.

Only what is missing goes up. The address printed last holds `train/`, `val/` and `test/`, a manifest and a completion
marker; another machine takes the set down again with `--fetch <that address>`.
"""

import argparse
import logging
from pathlib import Path

from cxr.aws.npz import fetch_channels, plan_channels, publish_channels
from cxr.aws.s3 import Store
from cxr.runtime.console import run_stage

log = logging.getLogger(__name__)


def main(arguments: list[str] | None = None) -> None:
    """Publish the NPZ set, or fetch one that was published."""
    parser = argparse.ArgumentParser(prog="python -m tools.publish_npz", description=__doc__)
    parser.add_argument("url", help="s3://bucket/prefix/; with --fetch the address that publishing printed")
    parser.add_argument("--folder", type=Path, default=Path("data/npz"), help="the NPZ set (default: data/npz)")
    parser.add_argument("--fetch", action="store_true", help="download the set into the folder instead")
    options = parser.parse_args(arguments)
    store = Store(options.url)
    store.check()
    if options.fetch:
        log.info("%s: %d new files", options.folder, fetch_channels(store, options.folder))
        return
    channels = plan_channels(options.folder)
    sent = publish_channels(channels, store)
    log.info("%d of %d objects uploaded", sent, len(channels.items) + 2)
    print(store.below(f"{channels.data_md5}/"))


if __name__ == "__main__":
    run_stage(main)
