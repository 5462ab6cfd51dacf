"""Commands that reach AWS: train in a job, deploy a bundle, publish a folder."""

import argparse
import json
import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cxr.commands.parser import Commands
from cxr.core.errors import CxrError

if TYPE_CHECKING:
    from cxr.aws.endpoint import Bundle

log = logging.getLogger(__name__)
ENVIRONMENT = {"image": "CXR_SERVING_IMAGE", "role": "CXR_ENDPOINT_ROLE", "bucket": "CXR_SAGEMAKER_BUCKET"}


def add_aws_commands(commands: Commands) -> None:
    """Add train-remote, deploy and publish."""
    train = commands.add("train-remote", _train_remote)
    which = train.add_mutually_exclusive_group()
    which.add_argument("--dry-run", action="store_true", help="print the request and a cost estimate; send nothing")
    which.add_argument("--stop", action="store_true", help="stop the running job, whoever started it")

    deploy = commands.add("deploy", _deploy)
    deploy.add_argument("--bundle", type=Path, default=Path("models/bundle"), help="default: %(default)s")
    for name, variable in ENVIRONMENT.items():
        deploy.add_argument(f"--{name}", default=os.environ.get(variable, ""), help=f"or {variable}")
    kind = deploy.add_mutually_exclusive_group()
    kind.add_argument("--serverless", action="store_true", help="an endpoint that costs only while it predicts")
    kind.add_argument("--transform", metavar="S3_PREFIX", default="", help="a batch job over the films below a prefix")
    kind.add_argument("--register", action="store_true", help="enter the bundle in the model registry")
    kind.add_argument("--list", action="store_true", help="list endpoints, configurations, models and transform jobs")
    kind.add_argument(
        "--delete", metavar="NAME", default="", help="delete an endpoint and what belongs to it, or `all`"
    )
    deploy.add_argument("--again", action="store_true", help="with --transform: repeat a completed job")
    deploy.add_argument("--instance-type", default="ml.c6i.large")
    deploy.add_argument("--film", type=Path, default=Path("film.jpg"), help="film that a new endpoint is tested with")
    deploy.add_argument("--metrics", type=Path, default=Path("metrics/metrics.json"), help="metrics for the registry")
    deploy.add_argument(
        "--dry-run", action="store_true", help="print the requests and what would change; change nothing"
    )

    publish = commands.add("publish", _publish)
    publish.add_argument("folder", type=Path, help="an NPZ set, such as data/npz")
    publish.add_argument("url", help="s3://bucket/prefix/; with --fetch the address that publishing printed")
    publish.add_argument("--fetch", action="store_true", help="download the set into the folder instead")


def _train_remote(options: argparse.Namespace) -> None:
    """Train in a SageMaker job, whatever the backend in compute.yaml.

    Uploads data and code, starts the job of the current parameters or attaches to it, follows it and fetches the model.
    """
    from cxr.aws.config import load_sagemaker
    from cxr.aws.handoff import stop_on_sagemaker, train_on_sagemaker
    from cxr.aws.plan import plan_job
    from cxr.aws.request import cost_estimate
    from cxr.core.config import load_section
    from cxr.train.config import TrainSection

    train, settings = load_section("train", TrainSection), load_sagemaker()
    if options.stop:
        stop_on_sagemaker(train, settings)
        return
    if not options.dry_run:
        train_on_sagemaker(train, settings)
        return
    plan = plan_job(train, settings)
    print(json.dumps(plan.request(attempt=1), indent=2))
    print(f"data: {len(plan.data.items)} objects, {plan.data.size / 1e6:.1f} MB; code: {len(plan.code.items)} objects")
    print("image: named by its tag here; a real job pins the digest, which also enters the job's name")
    print(f"cost estimate: {cost_estimate(plan.settings)}")


def _deploy(options: argparse.Namespace) -> None:
    """Put a bundle on SageMaker: endpoint, batch job or model registry.

    A new endpoint (real-time or serverless) is tested with a film. If anything fails, all that this call created is
    deleted. A real-time endpoint costs money until `--delete NAME`. AWS limits the payload: serverless 4 MB, real-time
    6 MB, batch transform 100 MB. Raw DICOM films usually need batch transform.
    """
    from cxr.aws.endpoint import open_bundle
    from cxr.aws.inventory import owned, remove
    from cxr.aws.resources import account
    from cxr.bundle.files import verify_sums, write_archive

    if options.list:
        print("\n".join(str(each) for each in owned(account())) or "nothing of this project is deployed")
        return
    if options.delete:
        print("\n".join(f"deleted: {what}" for what in remove(account(), options.delete)) or "nothing to delete")
        return
    missing = [f"--{name} (or {variable})" for name, variable in ENVIRONMENT.items() if not getattr(options, name)]
    if missing:
        raise CxrError(f"missing: {', '.join(missing)}; see docs/aws.md")
    verify_sums(options.bundle)
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "model.tar.gz"
        write_archive(options.bundle, archive)  # equal bundles give equal bytes, and with them equal names on AWS
        _deploy_bundle(open_bundle(archive, options.bundle), options)


def _deploy_bundle(bundle: "Bundle", options: argparse.Namespace) -> None:
    from cxr.aws.endpoint import Target, registry_requests, requests
    from cxr.aws.objects import parse_url
    from cxr.aws.serving import Deployment

    target = Target(
        "transform" if options.transform else "serverless" if options.serverless else "realtime",
        image=options.image,
        role=options.role,
        store_url=f"s3://{options.bucket.removeprefix('s3://').rstrip('/')}/",
        instance_type=options.instance_type,
        films_url="s3://{}/{}".format(*parse_url(options.transform)) if options.transform else "",
    )
    if options.dry_run:
        sent = requests(bundle, target)
        if options.register:
            sent |= registry_requests(bundle, target, f"{target.store_url}bundles/{bundle.md5}/metrics.json")
        print(json.dumps(sent, indent=2))
        try:
            found = Deployment(bundle, target)
            lines = found.registry_outlook() if options.register else found.outlook(options.again)
            print("\n".join(lines), file=sys.stderr)
        except CxrError as error:
            print(f"what exists is not known: {error}", file=sys.stderr)
        return
    deployment = Deployment(bundle, target)
    if options.register:
        print(f"registered: {deployment.register(options.metrics.read_bytes())}")
        return
    if target.kind != "transform" and not options.film.is_file():
        raise CxrError(f"{options.film}: no such film; name a film to test the endpoint with: --film")
    film = b"" if target.kind == "transform" else options.film.read_bytes()
    ready = deployment.deploy(film, options.again)
    print(f"predictions: {ready}" if target.kind == "transform" else f"ready: {ready}")


def _publish(options: argparse.Namespace) -> None:
    """Upload an NPZ set to S3, or fetch a published one.

    Only missing objects are uploaded. The printed address holds `train/`, `val/` and `test/`, a manifest and a
    completion marker. Another machine downloads the set with `publish FOLDER ADDRESS --fetch`.
    """
    from cxr.aws.npz import fetch_channels, plan_channels, publish_channels
    from cxr.aws.s3 import Store

    store = Store(options.url)
    store.check()
    if options.fetch:
        log.info("%s: %d new files", options.folder, fetch_channels(store, options.folder))
        return
    channels = plan_channels(options.folder)
    sent = publish_channels(channels, store)
    log.info("%d of %d objects uploaded", sent, len(channels.items) + 2)
    print(store.below(f"{channels.data_md5}/"))
