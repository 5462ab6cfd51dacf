"""What happens between the train stage and SageMaker: the real SDK and a real S3 server, a stage that stands in."""

import io
import json
import os
import signal
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.client import BaseClient

from cxr.__main__ import main
from cxr.aws import follow as jobs
from cxr.aws import handoff
from cxr.aws.config import load_sagemaker
from cxr.aws.container.checkpoints import read
from cxr.aws.plan import plan_job
from cxr.aws.session import aws_session
from cxr.core.config import load_section
from cxr.core.errors import CxrError
from cxr.npz.films import encode_npz, read_npz
from cxr.npz.pack import build_shards
from cxr.npz.shards import open_shards
from cxr.runtime.compute import Compute
from cxr.train.config import TrainSection
from testing.seaweed import SeaweedFS
from tests.aws import container, stand_ins
from tests.aws.control_plane import ControlPlane, Refused
from tests.aws.job import Job
from tests.aws.project import Project
from tests.aws.wheel import write_wheel

needs_namespaces = pytest.mark.skipif(
    not container.namespaces_allowed(), reason="user, mount, PID and network namespaces are not allowed here"
)
PREFIX = "cxr-pneumonia-"


def only_job(plane: ControlPlane) -> Job:
    (job,) = plane.jobs.values()
    return job


def when_training(plane: ControlPlane, act: Callable[[Job], None], attempt: str = "") -> None:
    """Do something as soon as the stage of an attempt has said its first word."""

    def watch() -> None:
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            for job in [job for name, job in list(plane.jobs.items()) if name.removeprefix(PREFIX)[16:] == attempt]:
                if any("epoch 0" in path.read_text() for path in job.log_files().values()):
                    return act(job)
            time.sleep(0.05)

    threading.Thread(target=watch, daemon=True).start()


def press_ctrl_c(plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the job trains and is followed; before that, Ctrl-C has nothing to do with a job."""
    follow, followed = handoff.follow, threading.Event()

    def follow_and_tell(*given: Any) -> Any:
        followed.set()
        return follow(*given)

    monkeypatch.setattr(handoff, "follow", follow_and_tell)
    when_training(plane, lambda _: os.kill(os.getpid(), signal.SIGINT) if followed.wait(300) else None)


def test_a_second_run_uploads_nothing_and_creates_no_job(
    project: Project, plane: ControlPlane, s3: Any, caplog: pytest.LogCaptureFixture
) -> None:
    project.stand_in(stand_ins.QUICK)
    project.hand_off()
    uploads: list[str] = []
    caplog.clear()
    with caplog.at_level("INFO"), pytest.MonkeyPatch.context() as patch:
        patch.setattr("cxr.aws.s3.Store.put", lambda _, item: uploads.append(item.key))
        project.hand_off()
    assert uploads == []
    assert len(plane.created()) == 1
    assert "is Completed already: attached to it" in caplog.text


@pytest.mark.parametrize("place", ["{bucket}/another-team", "{bucket}-new"])
def test_after_a_change_of_bucket_or_prefix_the_model_is_fetched_from_where_its_job_wrote_it(
    project: Project, plane: ControlPlane, s3: Any, bucket: str, place: str
) -> None:
    s3.create_bucket(Bucket=f"{bucket}-new")
    project.stand_in(stand_ins.QUICK)
    project.hand_off()
    model = project.folder / "models" / "classifier.ckpt"
    model.unlink()
    project.set_sagemaker(bucket=place.format(bucket=bucket))
    project.hand_off()
    assert model.read_bytes() == b"weights"
    assert len(plane.created()) == 1


def test_a_job_that_is_stopping_is_waited_for_and_not_attached_to(
    project: Project, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next attempt begins with its last checkpoint."""
    project.stand_in(stand_ins.QUICK)
    stopping = {"TrainingJobName": "first", "TrainingJobStatus": "Stopping"}
    waited: list[str] = []

    def follow(name: str, *_: Any) -> dict[str, Any]:
        waited.append(name)
        return {**stopping, "TrainingJobStatus": "Stopped"}

    latest = jobs.latest_job
    monkeypatch.setattr(jobs, "follow", follow)
    monkeypatch.setattr(jobs, "latest_job", lambda *given: latest(*given) if waited else (stopping, 1))
    project.hand_off()
    assert waited == ["first"]
    assert len(plane.created()) == 1


def test_of_two_submitters_one_creates_the_job_and_the_other_attaches_to_it(
    project: Project, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both had looked before either created it; while one sends its films, the other's job starts."""
    project.stand_in("import time; time.sleep(1)\n" + stand_ins.QUICK)
    publish, nested = handoff.publish_channels, threading.Event()

    def publish_while_another_submits(*given: Any) -> int:
        if not nested.is_set():
            nested.set()
            train = load_section("train", TrainSection, project.folder / "params.yaml")
            plan = plan_job(train, load_sagemaker(project.folder / "compute.yaml"), project.folder)
            session = aws_session(plan.settings.region)
            plan = plan.pinned(session)
            assert handoff._start(plan, handoff._store(plan, session), session) == (plan.inputs.job_name(1), True)
        return publish(*given)

    monkeypatch.setattr(handoff, "publish_channels", publish_while_another_submits)
    project.hand_off()
    assert len(plane.created()) == 1


def test_of_two_submitters_at_the_same_instant_the_later_attaches(
    project: Project, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    project.stand_in(stand_ins.QUICK)
    project.hand_off()
    found = iter([(None, 0), (None, 0)])
    monkeypatch.setattr(handoff, "find_job", lambda *_: next(found))
    with caplog.at_level("INFO"):
        project.hand_off()
    assert "was created meanwhile: attached to it" in caplog.text
    assert len(plane.jobs) == 1


@pytest.mark.usefixtures("ctrl_c_is_heard")
def test_ctrl_c_of_one_who_attached_leaves_the_job_running_and_stop_ends_it(
    project: Project, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.stand_in(stand_ins.WAIT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cxr.aws.handoff.follow", lambda *_: (_ for _ in ()).throw(ConnectionError("laptop closed")))
        with pytest.raises(ConnectionError):
            project.hand_off()
    press_ctrl_c(plane, monkeypatch)
    with pytest.raises(CxrError, match=r"left running; run again to attach to it, `python -m cxr train-remote --stop`"):
        project.hand_off()
    assert only_job(plane).status == "InProgress"
    monkeypatch.chdir(project.folder)
    main(["train-remote", "--stop"])
    only_job(plane).join(timeout=120)
    assert only_job(plane).status == "Stopped"
    with pytest.raises(CxrError, match="is not running; nothing to stop"):
        main(["train-remote", "--stop"])


@pytest.mark.parametrize(
    "fault",
    [
        Refused("ExpiredTokenException", "The security token included in the request is expired"),
        Refused("ThrottlingException", "Rate exceeded"),
    ],
)
def test_a_passing_fault_while_following_is_survived(
    project: Project, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch, fault: Refused
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    project.stand_in("import time; time.sleep(1)\n" + stand_ins.QUICK)
    follow = handoff.follow

    def follow_after_faults(*given: Any) -> Any:
        plane.faults += [("DescribeTrainingJob", fault), ("DescribeLogStreams", fault)]
        return follow(*given)

    monkeypatch.setattr(handoff, "follow", follow_after_faults)
    project.hand_off()
    assert plane.faults == []
    assert project.outs()["models/classifier.ckpt"] == b"weights"


def test_a_fault_that_stays_says_how_to_attach_again(
    project: Project, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cxr.aws.follow.PATIENCE_S", 0.5)
    project.stand_in("import time; time.sleep(1)\n" + stand_ins.QUICK)
    follow = handoff.follow

    def follow_with_expired_credentials(*given: Any) -> Any:
        expired = Refused("ExpiredTokenException", "The security token included in the request is expired")
        plane.faults += [("DescribeTrainingJob", expired)] * 50
        return follow(*given)

    monkeypatch.setattr(handoff, "follow", follow_with_expired_credentials)
    with pytest.raises(CxrError, match=r"credentials have expired.*the job itself goes on: run the same command"):
        project.hand_off()
    assert only_job(plane).status != "Stopped"


def test_an_image_is_pinned_by_its_digest_and_a_tag_that_moved_is_another_job(
    project: Project, plane: ControlPlane
) -> None:
    project.stand_in(stand_ins.QUICK)
    project.hand_off()
    plane.builds["1"] = "a security patch"
    project.hand_off()
    first, second = plane.created()
    images = [request["AlgorithmSpecification"]["TrainingImage"] for request in (first, second)]
    assert all("/training@sha256:" in image for image in images)
    assert images[0] != images[1]
    assert first["TrainingJobName"] != second["TrainingJobName"]


def test_what_rank_0_leaves_behind_is_ended_with_it(
    project: Project, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rank that waits for a dead rank 0 keeps the log pipe open; the job, and its bill, would run to max_hours."""
    entry = project.folder / "cxr" / "aws" / "container" / "entry.py"
    entry.write_text(entry.read_text().replace("GRACE_S = 20.0", "GRACE_S = 1.0"))
    project.stand_in(stand_ins.LEFT_BEHIND)
    with pytest.raises(CxrError, match="Failed: ZeroDivisionError"):
        project.hand_off()


def test_the_job_finds_complete_files_and_works_in_the_scratch_space(project: Project, plane: ControlPlane) -> None:
    project.stand_in(stand_ins.FILES)
    project.set_sagemaker(instance_count=2)
    project.hand_off()
    facts = json.loads(project.outs()["models/history.csv"])
    assert facts["folder"].endswith("/work")
    assert not facts["folder"].startswith("/opt/ml")
    compute = yaml.safe_load(facts["compute"])
    assert set(compute) == set(Compute.model_fields)
    assert (compute["backend"], compute["accelerator"], compute["nodes"]) == ("local", "cpu", 2)
    train = yaml.safe_load(facts["params"])["train"]
    assert set(train) == set(TrainSection.model_fields)
    assert set(train["augment"]) == set(TrainSection.model_fields["augment"].annotation.model_fields)  # type: ignore[union-attr]


def test_a_bucket_of_another_region_is_refused_before_anything_is_sent(
    project: Project, plane: ControlPlane, s3: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SeaweedFS knows no regions: the answer of AWS is put into its mouth."""
    call = BaseClient._make_api_call

    def answer(self: Any, operation: str, request: dict[str, Any]) -> Any:
        found = call(self, operation, request)
        return {**found, "BucketRegion": "us-east-1"} if operation == "HeadBucket" else found

    monkeypatch.setattr(BaseClient, "_make_api_call", answer)
    with pytest.raises(CxrError, match="lies in us-east-1, the job would run in eu-central-1"):
        project.hand_off()
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


@pytest.mark.parametrize(
    ("settings", "quota"),
    [
        ({}, "ml.m5.xlarge for training job usage"),
        ({"spot": True, "max_wait_hours": 1}, "ml.m5.xlarge for spot training job usage"),
        ({"keep_alive_minutes": 5}, "ml.m5.xlarge for training warm pool usage"),
    ],
)
def test_a_quota_that_is_too_small_is_told_before_anything_is_sent(
    project: Project, plane: ControlPlane, s3: Any, bucket: str, settings: dict[str, Any], quota: str
) -> None:
    plane.quotas[quota] = 1
    project.set_sagemaker(instance_count=2, **settings)
    with pytest.raises(CxrError, match=rf"quotas: {quota}: 1, and 2 needed; .* --quota-code L-\w+ --desired-value 2"):
        project.hand_off()
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_without_permission_to_read_quotas_a_warning_says_so_and_the_job_starts(
    project: Project, plane: ControlPlane, caplog: pytest.LogCaptureFixture
) -> None:
    plane.faults.append(("ListServiceQuotas", Refused("AccessDeniedException", "not authorized")))
    project.stand_in(stand_ins.QUICK)
    project.hand_off()
    assert "quotas: access denied (not authorized)" in caplog.text
    assert "not checked: ml.m5.xlarge for training job usage" in caplog.text
    assert len(plane.created()) == 1


def test_another_parameter_is_another_job_with_the_same_data(project: Project, plane: ControlPlane) -> None:
    project.stand_in(stand_ins.QUICK)
    project.hand_off()
    project.set_train(lr=0.5)
    project.hand_off()
    first, second = plane.created()
    assert first["TrainingJobName"] != second["TrainingJobName"]
    assert first["InputDataConfig"] == second["InputDataConfig"]


def test_the_request_shows_what_the_job_uses(project: Project, plane: ControlPlane) -> None:
    project.stand_in(stand_ins.PARAMS)
    awkward = 'it\'s a "quoted"\nname $HOME `x` é'
    project.set_train(backbone=awkward, lr=1e-5)
    project.hand_off()
    (request,) = plane.created()
    shown = {name: json.loads(value) for name, value in request["HyperParameters"].items()}
    used = json.loads(project.outs()["models/history.csv"])["train"]
    assert used["backbone"] == shown["backbone"] == awkward
    for name, usual_name in (
        ("batch", "batch_size"),
        ("lr", "learning_rate"),
        ("amp", "use_amp"),
        ("schedule", "scheduler"),
    ):
        assert used[name] == shown[name] == shown[usual_name]
    assert (shown["epochs"], shown["lr"], shown["img_size"]) == (2, 1e-5, 32)
    assert used["augment"]["flip"] == shown["augment.flip"]
    assert request["EnableNetworkIsolation"] is True
    assert {tag["Key"] for tag in request["Tags"]} == {"project", "git_sha", "data_md5"}
    channels = {channel["ChannelName"]: channel["DataSource"] for channel in request["InputDataConfig"]}
    assert set(channels) == {"train", "val", "test", "code"}
    code = channels.pop("code")["S3DataSource"]
    assert (code["S3DataType"], code["S3Uri"][-1]) == ("S3Prefix", "/")
    assert {source["S3DataSource"]["S3DataType"] for source in channels.values()} == {"ManifestFile"}


@needs_namespaces
def test_the_entry_point_is_pid_1_and_maps_opt_ml(project: Project, plane: ControlPlane) -> None:
    project.stand_in(stand_ins.ENVIRONMENT)
    project.hand_off()
    facts = json.loads(project.outs()["models/history.csv"])
    assert facts["parent"] == 1
    assert facts["SM_CHANNEL_TRAIN"] == "/opt/ml/input/data/train"
    assert facts["SM_CHANNEL_VAL"] == "/opt/ml/input/data/val"
    assert facts["SM_CHANNEL_TEST"] == "/opt/ml/input/data/test"
    assert facts["SM_MODEL_DIR"] == "/opt/ml/model"
    assert facts["SM_CHECKPOINT_DIR"] == "/opt/ml/checkpoints"
    (shard,) = open_shards(project.folder / "data" / "shards").shards("train")
    assert shard in facts["channel"]


@needs_namespaces
@pytest.mark.parametrize(("isolated", "told"), [(True, "unreachable"), (False, "reached")])
def test_only_an_isolated_job_has_no_network(
    project: Project, plane: ControlPlane, seaweed: SeaweedFS, isolated: bool, told: str
) -> None:
    place = ("127.0.0.1", int(seaweed.url.rsplit(":", 1)[1]))
    project.stand_in(stand_ins.CONNECT.format(places=[place]))
    project.set_sagemaker(network_isolation=isolated)
    project.hand_off()
    assert project.outs()["models/history.csv"].decode() == told


def test_where_namespaces_are_not_allowed_the_job_runs_all_the_same_and_says_so(
    project: Project, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(container, "namespaces_allowed", lambda: False)
    project.stand_in(stand_ins.QUICK)
    project.hand_off()
    assert "namespaces are not allowed here: the job runs as a plain process" in capfd.readouterr().err
    assert project.outs()["models/classifier.ckpt"] == b"weights"


def test_a_crash_is_told_with_the_traceback_of_the_job(project: Project, plane: ControlPlane) -> None:
    project.stand_in(stand_ins.CRASH)
    with pytest.raises(CxrError) as caught:
        project.hand_off()
    first, *rest = str(caught.value).splitlines()
    assert first.startswith(f"job {only_job(plane).job_name}: Failed: ZeroDivisionError: division by zero")
    assert any("in forward" in line for line in rest)
    assert not (project.folder / "models" / "classifier.ckpt").exists()


def test_a_fault_of_the_stage_stays_one_line(project: Project, plane: ControlPlane) -> None:
    project.stand_in(stand_ins.FAULT)
    with pytest.raises(CxrError, match=r"Failed: error: train\.batch: 64 is more than the 16 training films") as caught:
        project.hand_off()
    assert "\n" not in str(caught.value)


def test_a_stage_killed_by_the_system_is_a_failure_that_says_so(project: Project, plane: ControlPlane) -> None:
    project.stand_in(stand_ins.KILLED)
    with pytest.raises(CxrError, match="Failed: the train stage was killed by signal 9"):
        project.hand_off()


@pytest.fixture
def ctrl_c_is_heard() -> Iterator[None]:
    """A shell starts background processes with SIGINT ignored, and Python then leaves it so."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_is_heard")
def test_ctrl_c_stops_the_job(
    project: Project, plane: ControlPlane, s3: Any, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.stand_in(stand_ins.WAIT)
    press_ctrl_c(plane, monkeypatch)
    with pytest.raises(CxrError, match="stopped by Ctrl-C; run again to resume from its checkpoint"):
        project.hand_off()
    assert only_job(plane).status == "Stopped"
    checkpoints = s3.list_objects_v2(Bucket=bucket, Prefix="team/sagemaker-checkpoints/")["Contents"]
    (key,) = [entry["Key"] for entry in checkpoints]
    (tmp_path / "state").write_bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    kept = read(tmp_path / "state")
    assert kept is not None
    with tarfile.open(fileobj=io.BytesIO(kept[1])) as tar:
        assert tar.getnames() == ["saved"]


def test_a_job_stopped_by_someone_else_raises_and_the_next_run_is_a_new_attempt(
    project: Project, plane: ControlPlane
) -> None:
    project.stand_in(stand_ins.WAIT)
    for attempt in ("", "-2"):
        when_training(plane, Job.stop, attempt)
        with pytest.raises(CxrError, match=rf"[0-9a-f]{{16}}{attempt}: Stopped \(Stopped\); run again"):
            project.hand_off()
    first, second = plane.created()
    assert first["CheckpointConfig"] == second["CheckpointConfig"]


def test_a_lost_connection_attaches_to_the_running_job(project: Project, plane: ControlPlane) -> None:
    project.stand_in("import time; time.sleep(1)\n" + stand_ins.QUICK)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cxr.aws.handoff.follow", lambda *_: (_ for _ in ()).throw(ConnectionError("laptop closed")))
        with pytest.raises(ConnectionError):
            project.hand_off()
    project.hand_off()
    assert len(plane.created()) == 1
    assert project.outs()["models/classifier.ckpt"] == b"weights"


def test_extra_packages_travel_as_wheels(project: Project, plane: ControlPlane) -> None:
    write_wheel(project.folder / "wheels", "travelling_package", "1.0")
    project.set_sagemaker(wheels="wheels")
    project.stand_in(stand_ins.IMPORTS)
    project.hand_off()
    assert project.outs()["models/history.csv"] == b"arrived"


def test_shards_that_vanished_from_the_bucket_are_sent_again(
    project: Project, plane: ControlPlane, s3: Any, bucket: str
) -> None:
    """As when a lifecycle rule deletes them."""
    project.stand_in(stand_ins.QUICK)
    project.hand_off()
    entries = s3.list_objects_v2(Bucket=bucket, Prefix="team/shards/")["Contents"]
    s3.delete_object(Bucket=bucket, Key=next(entry["Key"] for entry in entries if entry["Key"].endswith(".npy")))
    project.set_train(lr=0.5)
    project.hand_off()
    assert len(plane.created()) == 2


def test_a_shard_that_vanishes_before_the_download_is_one_clear_line(
    project: Project, plane: ControlPlane, s3: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = handoff.publish_channels

    def publish_and_lose_one(*given: Any) -> int:
        sent = publish(*given)
        entries = s3.list_objects_v2(Bucket=bucket, Prefix="team/shards/")["Contents"]
        s3.delete_object(Bucket=bucket, Key=next(entry["Key"] for entry in entries if entry["Key"].endswith(".npy")))
        return sent

    project.stand_in(stand_ins.QUICK)
    monkeypatch.setattr(handoff, "publish_channels", publish_and_lose_one)
    with pytest.raises(CxrError, match=r"Failed: ClientError: Data download failed: .*\.manifest") as caught:
        project.hand_off()
    assert "\n" not in str(caught.value)


def test_one_changed_film_sends_one_shard(project: Project, plane: ControlPlane, s3: Any, bucket: str) -> None:
    def shards() -> set[str]:
        entries = s3.list_objects_v2(Bucket=bucket, Prefix="team/shards/")["Contents"]
        return {entry["Key"] for entry in entries if entry["Key"].endswith(".npy")}

    project.stand_in(stand_ins.QUICK)
    project.hand_off()
    before = shards()
    film = project.folder / "data/npz/train/train003.npz"
    changed = replace(read_npz(film), image=255 - read_npz(film).image)
    film.write_bytes(encode_npz(changed))
    build_shards(project.folder / "data/npz", project.folder / "data/shards")
    project.hand_off()
    assert len(before) == 5  # one of each split
    assert len(shards() - before) == 1


@pytest.mark.parametrize(
    ("environment", "settings", "told"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, {}, "credentials are invalid"),
        ({"AWS_ACCESS_KEY_ID": ""}, {}, "no AWS credentials found"),
        ({}, {"bucket": "there-is-no-such-bucket"}, "s3://there-is-no-such-bucket: no such bucket"),
        ({}, {"bucket": "$CXR_SAGEMAKER_BUCKET"}, "sagemaker.bucket: the environment variable CXR_"),
        ({}, {"role": "arn:aws:iam::1234:role/someone"}, "CreateTrainingJob failed: ValidationException: .*RoleArn"),
        ({}, {"instance_type": "ml.huge"}, "CreateTrainingJob failed: ValidationException: .*InstanceType"),
        ({}, {"spot": True, "max_wait_hours": 0.1}, "max_wait_hours .* must be at least max_hours"),
        ({}, {"wheels": "wheels"}, "wheels: no wheels there; run `make wheels`"),
        ({"AWS_ENDPOINT_URL_SAGEMAKER": "http://127.0.0.1:9"}, {}, "no answer from the server"),
    ],
)  # fmt: skip
def test_each_fault_is_one_line(
    project: Project, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str], settings: dict[str, Any], told: str,
) -> None:  # fmt: skip
    project.stand_in(stand_ins.QUICK)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    for name, value in environment.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    project.set_sagemaker(**settings)
    with pytest.raises(CxrError, match=told) as caught:
        project.hand_off()
    assert "\n" not in str(caught.value)
    assert plane.jobs == {}


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ("models/pretrained/mistyped.pt", "no such file; correct the path"),
        ("{folder}/params.yaml", "a file in models/pretrained/"),
    ],
)
def test_local_weights_that_cannot_travel_are_refused_before_anything_is_paid(
    project: Project, plane: ControlPlane, weights: str, told: str
) -> None:
    project.set_train(weights=weights.format(folder=project.folder))
    with pytest.raises(CxrError, match=told):
        project.hand_off()
    assert plane.jobs == {}


@pytest.mark.parametrize("weights", ["imagenet", "hf://owner/repo/model.safetensors"])
def test_weights_from_a_hub_are_refused_where_the_job_cannot_reach_it(project: Project, weights: str) -> None:
    project.set_train(weights=weights)
    with pytest.raises(CxrError, match="a job with network isolation reaches no hub"):
        project.hand_off()
