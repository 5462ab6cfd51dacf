"""Put a bundle on SageMaker: `python -m tools.deploy --image URI --dry-run` prints every request, unsent.

An endpoint (real-time or serverless) is tried with a film once it is in service; when anything fails, what this call
made is deleted again. A real-time endpoint costs money until `--delete`. Payload limits of AWS: serverless 4 MB,
real-time 6 MB, batch transform 100 MB; raw DICOM films usually need the last.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path

from cxr.aws.endpoint import Bundle, Target, open_bundle, registry_requests, requests
from cxr.aws.serving import Deployment
from cxr.bundle.files import verify_sums, write_archive
from cxr.core.errors import CxrError
from cxr.runtime.console import run_stage

ENVIRONMENT = {"image": "CXR_SERVING_IMAGE", "role": "CXR_SAGEMAKER_ROLE", "bucket": "CXR_SAGEMAKER_BUCKET"}


def main(arguments: list[str] | None = None) -> None:
    """Deploy, register, delete, or print what would be sent."""
    options = _options(arguments)
    verify_sums(options.bundle)
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "model.tar.gz"
        write_archive(options.bundle, archive)  # equal bundles give equal bytes, and with them equal names on AWS
        _deploy(open_bundle(archive, options.bundle), options)


def _deploy(bundle: Bundle, options: argparse.Namespace) -> None:
    target = Target(
        "transform" if options.transform else "serverless" if options.serverless else "realtime",
        image=options.image,
        role=options.role,
        store_url=f"s3://{options.bucket.removeprefix('s3://').rstrip('/')}/",
        instance_type=options.instance_type,
        films_url=options.transform,
    )
    if options.dry_run:
        sent = requests(bundle, target)
        if options.register:
            sent |= registry_requests(bundle, target, f"{target.store_url}bundles/{bundle.md5}/metrics.json")
        print(json.dumps(sent, indent=2))
        return
    deployment = Deployment(bundle, target)
    if options.delete:
        print("\n".join(f"deleted: {what}" for what in deployment.delete()) or f"{bundle.name}: nothing there")
        return
    if options.register:
        print(f"registered: {deployment.register(options.metrics.read_bytes())}")
        return
    if target.kind != "transform" and not options.film.is_file():
        raise CxrError(f"{options.film}: no film to try the endpoint with; name one with --film")
    film = b"" if target.kind == "transform" else options.film.read_bytes()
    print(f"ready: {deployment.deploy(film)}")


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.deploy", description=__doc__)
    parser.add_argument("--bundle", type=Path, default=Path("models/bundle"))
    for name, variable in ENVIRONMENT.items():
        parser.add_argument(f"--{name}", default=os.environ.get(variable, ""), help=f"or {variable}")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--serverless", action="store_true", help="an endpoint that costs only while it answers")
    kind.add_argument("--transform", metavar="S3_PREFIX", default="", help="a batch job over the films below a prefix")
    kind.add_argument("--register", action="store_true", help="enter the bundle in the model registry")
    kind.add_argument("--delete", action="store_true", help="delete the endpoint, its configuration and the model")
    parser.add_argument("--instance-type", default="ml.c6i.large")
    parser.add_argument("--film", type=Path, default=Path("film.jpg"), help="what a new endpoint is tried with")
    parser.add_argument("--metrics", type=Path, default=Path("metrics/metrics.json"), help="for the registry")
    parser.add_argument("--dry-run", action="store_true", help="print the requests; send nothing")
    options = parser.parse_args(arguments)
    missing = [f"--{name} (or {variable})" for name, variable in ENVIRONMENT.items() if not getattr(options, name)]
    if missing:
        raise CxrError(f"missing: {', '.join(missing)}; docs/aws.md says what they are")
    return options


if __name__ == "__main__":
    run_stage(main)
