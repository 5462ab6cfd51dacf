"""A dry drill of the first job: `make drill`, or `python -m tests.aws.drill <python of the image>`.

The double of SageMaker runs the request's own entry point with another Python, in which there is only what AWS's image
brings: PyTorch and torchvision. There is no network, the packages come from wheels/, and the real stage trains on the
demo's films for one epoch.
"""

import argparse
import logging
import os
import subprocess
import tempfile
import time
from pathlib import Path

import boto3

from cxr.runtime.console import setup_logging
from testing.seaweed import ACCESS_KEY, SECRET_KEY, SeaweedFS
from tests.aws.control_plane import ControlPlane
from tests.aws.job import Job
from tests.aws.project import ROOT, Project

BUCKET = "drill"
log = logging.getLogger(__name__)


def main() -> None:
    """Hand the demo off to a job in the given Python; fails where the job fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.aws.drill", description=__doc__)
    parser.add_argument("python", type=Path, help="interpreter that stands for the image")
    image = parser.parse_args().python.absolute()
    words = "import sys, torch; print('Python %d.%d' % sys.version_info[:2], 'with torch', torch.__version__)"
    found = subprocess.run([image, "-c", words], check=True, capture_output=True, text=True).stdout.strip()
    setup_logging()
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="drill-") as name:
        folder = Path(name)
        (folder / "server").mkdir()
        server = SeaweedFS(folder / "server")
        os.environ |= {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
        os.environ |= {"AWS_REGION": "eu-central-1", "AWS_ENDPOINT_URL_S3": server.url}
        with server.running():
            s3 = boto3.client("s3")
            s3.create_bucket(Bucket=BUCKET)
            plane = ControlPlane(folder / "plane", s3)
            for service in ("SAGEMAKER", "CLOUDWATCH_LOGS", "ECR", "SERVICE_QUOTAS"):
                os.environ[f"AWS_ENDPOINT_URL_{service}"] = plane.url
            try:
                Job.image_python = image
                project = Project(folder / "project", BUCKET)
                project.take_demo(ROOT)
                project.hand_off()
                outs = project.outs()
            finally:
                plane.close()
    assert all(outs.values())
    log.info("trained in a job with %s, without a network, in %.0f s", found, time.monotonic() - start)


if __name__ == "__main__":
    main()
