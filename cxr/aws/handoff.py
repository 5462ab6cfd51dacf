"""Training on SageMaker from the train stage: start or attach, follow, fetch the results."""

import contextlib
import logging
import os
import shutil
import tarfile
import tempfile
import urllib.request
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
from botocore.exceptions import ClientError

from cxr.aws.config import SageMakerSection
from cxr.aws.follow import artifact, failure_reason, find_job, follow, latest_job, stop_job
from cxr.aws.inputs import publish_channels
from cxr.aws.plan import JobPlan, plan_job
from cxr.aws.request import cost_estimate, quotas
from cxr.aws.s3 import Store
from cxr.aws.session import aws_errors, aws_session, check_quotas
from cxr.core.config import Section
from cxr.core.errors import CxrError

log = logging.getLogger(__name__)


def unpack_outs(archive: Path, outs: list[Path], root: Path = Path()) -> None:
    """Move the outs of the train stage into place: all of them, or none where the archive is invalid.

    Args:
        archive: model.tar.gz, whose members are named relative to `models/`.
        outs: files and folders below `models/` to extract.
        root: the repository.

    Raises:
        CxrError: the archive is damaged, a member is outside the folder or not a regular file, or an out is missing.
    """
    with tempfile.TemporaryDirectory(dir=archive.parent) as name:
        folder = Path(name)
        try:
            with tarfile.open(archive, "r:gz") as tar:
                for member in tar.getmembers():
                    _check(member, archive)
                tar.extractall(folder, filter="data")
        except (tarfile.TarError, EOFError, OSError) as error:
            raise CxrError(
                f"{archive.name}: cannot be unpacked ({error}); delete it from the bucket and run again"
            ) from error
        sources = {out: folder / out.relative_to("models") for out in outs}
        for out, source in sources.items():
            if not source.exists():
                raise CxrError(f"{archive.name}: {out} is missing; the job ended without it, see its log")
        for out, source in sources.items():
            target = root / out
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_dir():
                shutil.rmtree(target)
            shutil.move(source, target)


def _check(member: tarfile.TarInfo, archive: Path) -> None:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise CxrError(f"{archive.name}: member {member.name!r} is outside the folder; delete the archive")
    if not (member.isfile() or member.isdir()):
        raise CxrError(f"{archive.name}: member {member.name!r} is not a regular file; delete the archive")


def train_on_sagemaker(train: Section, settings: SageMakerSection, root: Path = Path()) -> None:
    """Train in a job; writes the same outs as a local run.

    Ctrl-C stops a job that this run created. Its checkpoint stays, and the next run resumes from it. Ctrl-C does not
    stop a job that was already running: another person may have started it.

    Raises:
        CxrError: a setting, credential, bucket or input is missing, the request is rejected, or the job ends Failed or
            Stopped; then the message contains the job's traceback.
    """
    plan = plan_job(train, settings, root)
    connect = partial(aws_session, plan.settings.region)
    session = connect()
    store = _store(plan, session)
    store.check(plan.settings.region)
    plan = plan.pinned(session)
    name, ours = _start(plan, store, session)
    show = partial(follow, name, connect, plan.epochs, plan.settings.poll_seconds)
    try:
        job = show()
    except KeyboardInterrupt:
        if not ours:
            raise CxrError(
                f"job {name}: left running; run again to attach to it, `python -m cxr train-remote --stop` stops it"
            ) from None
        log.warning("stopping job %s; it saves its checkpoint first", name)
        stop_job(name, session)
        with contextlib.suppress(KeyboardInterrupt):  # a second one: AWS ends the job without us
            show()
        raise CxrError(f"job {name}: stopped by Ctrl-C; run again to resume from its checkpoint") from None
    if job["TrainingJobStatus"] != "Completed":
        raise CxrError(failure_reason(job))
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "model.tar.gz"
        written, key = artifact(job, session)
        written.fetch(key, archive)
        unpack_outs(archive, list(plan.outs), root)
    _log_to_mlflow(plan, root, name)


def stop_on_sagemaker(train: Section, settings: SageMakerSection, root: Path = Path()) -> None:
    """Stop the running job of the current inputs, whoever started it; raises CxrError when none runs."""
    plan = plan_job(train, settings, root)
    session = aws_session(plan.settings.region)
    plan = plan.pinned(session)
    job, _ = latest_job(plan, session)
    if job is None or job["TrainingJobStatus"] != "InProgress":
        raise CxrError(f"job {plan.inputs.job_name(1)}: is not running; nothing to stop")
    stop_job(job["TrainingJobName"], session)
    log.info("job %s: stopping; it saves its checkpoint first", job["TrainingJobName"])


def _store(plan: JobPlan, session: Any, below: str = "") -> Store:
    key = plan.settings.output_kms_key
    return Store(f"{plan.store_url}{below}", session, None if key == "none" else key)


def _start(plan: JobPlan, store: Store, session: Any) -> tuple[str, bool]:
    """The name of the job to follow, and whether this run created it."""
    name, _ = find_job(plan, session)
    if name:
        return name, False
    check_quotas(session, quotas(plan.settings))
    sent = publish_channels(plan.data, store)
    sent += _store(plan, session, "sagemaker-code/").put_all(plan.code.items, "upload code")
    log.info("%d objects uploaded", sent)
    name, attempts = find_job(plan, session)  # somebody else may have been faster meanwhile
    if name:
        return name, False
    request = plan.request(attempts + 1)
    name = str(request["TrainingJobName"])
    log.info("creating job %s: %s", name, cost_estimate(plan.settings))
    with aws_errors(f"job {name}"):
        try:
            session.client("sagemaker").create_training_job(**request)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceInUse":
                raise
            log.info("job %s was created meanwhile: attached to it", name)
            return name, False
    return name, True


def _log_to_mlflow(plan: JobPlan, root: Path, name: str) -> None:
    """Log the run from here, so that the job needs no network. Does nothing when MLFLOW_TRACKING_URI is not set."""
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return
    from cxr.train.tracking import MLflowRun

    try:
        earlier = _earlier_mlflow_run(name, os.environ["MLFLOW_TRACKING_URI"])
    except Exception as error:  # whatever its store raises: the model is here, and the next run logs it
        log.warning("MLflow: %s: not logged; run again once the server answers", " ".join(str(error).split()))
        return
    if earlier and earlier.status == "FINISHED":
        log.info("job %s: logged to MLflow before", name)
        return
    tags = {"data": plan.inputs.data_md5, "sagemaker_job": name}
    with tempfile.TemporaryDirectory() as folder:
        if earlier:  # it broke off; MLflowRun continues the run that this file names
            (Path(folder) / "mlflow_run").write_text(earlier.run_id, encoding="utf-8")
        run = MLflowRun(Path(folder), dict(plan.inputs.hyperparameters), tags)
        history = pd.read_csv(root / "models/history.csv")
        run.log([{str(name): float(value) for name, value in row.items()} for row in history.to_dict("records")])
        run.close([path for path in (root / out for out in plan.outs) if path.is_file()])


def _earlier_mlflow_run(job: str, uri: str) -> Any:
    """Id and status of the MLflow run of a job, or None."""
    from cxr.train.tracking import EXPERIMENT, SERVER_SECONDS

    if uri.startswith("http"):  # MLflow itself would retry for minutes
        urllib.request.urlopen(uri.rstrip("/") + "/health", timeout=SERVER_SECONDS).close()
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT))
    found = client.search_runs([experiment.experiment_id], f"tags.sagemaker_job = '{job}'") if experiment else []
    return found[0].info if found else None
