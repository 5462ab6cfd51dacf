"""Commands that share what the pipeline made: a bundle with a registry, an NPZ set with other machines."""

import argparse
import logging
import tempfile
from pathlib import Path

from cxr.commands.parser import Commands
from cxr.core.errors import CxrError

log = logging.getLogger(__name__)
MLFLOW, HUB, S3 = "mlflow:", "hf://", "s3://"


def add_publish_commands(commands: Commands) -> None:
    """Add publish."""
    publish = commands.add("publish", _publish)
    publish.add_argument("folder", type=Path, help="a bundle, such as models/chest_xray, or an NPZ set")
    publish.add_argument("target", help="mlflow:NAME, hf://owner/name, or for an NPZ set s3://bucket/prefix/")
    publish.add_argument("--private", action="store_true", help="hf://: visible to the owner only")
    publish.add_argument("--dry-run", action="store_true", help="print what would be published; publish nothing")
    publish.add_argument("--fetch", action="store_true", help="s3://: download the NPZ set into the folder instead")


def _publish(options: argparse.Namespace) -> None:
    """Publish a bundle to MLflow or the Hugging Face Hub, or an NPZ set to S3.

    A bundle becomes a version of a registered model in MLflow (mlflow:NAME; the server is MLFLOW_TRACKING_URI), or a
    model repository on the Hugging Face Hub (hf://owner/name). A second call with the same bundle changes nothing.

    Of an NPZ set, only missing objects are uploaded. The printed address holds `train/`, `val/` and `test/`, a manifest
    and a completion marker. Another machine downloads the set with `publish FOLDER ADDRESS --fetch`.
    """
    for prefix, run in {MLFLOW: _to_mlflow, HUB: _to_hub, S3: _to_s3}.items():
        if options.target.startswith(prefix):
            allowed = {MLFLOW: ("dry_run",), HUB: ("dry_run", "private"), S3: ("fetch",)}[prefix]
            for option in ("private", "dry_run", "fetch"):
                if getattr(options, option) and option not in allowed:
                    raise CxrError(f"{options.target}: --{option.replace('_', '-')} does not apply to {prefix}")
            run(options)
            return
    raise CxrError(f"{options.target}: expected mlflow:NAME, hf://owner/name or s3://bucket/prefix/")


def _to_mlflow(options: argparse.Namespace) -> None:
    from cxr.publish.facts import data_digests, read_facts
    from cxr.publish.registry import publish_to_mlflow

    facts = read_facts(options.folder)
    if not options.dry_run:
        print(publish_to_mlflow(facts, options.target.removeprefix(MLFLOW)))
        return
    print(f"bundle {facts.version}")
    for metric in facts.metrics:
        interval = "" if metric.low is None else f" [{metric.low}, {metric.high}]"
        print(f"metric {facts.split}_{metric.name}: {metric.value}{interval}")
    for name, digest in data_digests(facts).items():
        print(f"data {name}: {digest}")


def _to_hub(options: argparse.Namespace) -> None:
    from cxr.publish.facts import read_facts
    from cxr.publish.hub import README, publish_to_hub, target, write_repository

    facts, name = read_facts(options.folder), target(options.target)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_repository(folder, facts, name)
        if options.dry_run:
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                print(f"{path.stat().st_size:>10}  {path.relative_to(folder).as_posix()}")
            print(f"\n{(folder / README).read_text(encoding='utf-8')}")
            return
        print(publish_to_hub(folder, options.target, f"Bundle {facts.version[:12]}", options.private))


def _to_s3(options: argparse.Namespace) -> None:
    from cxr.aws.npz import fetch_channels, plan_channels, publish_channels
    from cxr.aws.s3 import Store

    store = Store(options.target)
    store.check()
    if options.fetch:
        log.info("%s: %d new files", options.folder, fetch_channels(store, options.folder))
        return
    channels = plan_channels(options.folder)
    sent = publish_channels(channels, store)
    log.info("%d of %d objects uploaded", sent, len(channels.items) + 2)
    print(store.below(f"{channels.data_md5}/"))
