"""`python -m cxr train-remote --dry-run`: the request, and nothing sent."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from cxr.__main__ import main
from cxr.aws.config import resolve
from cxr.aws.plan import choose_image
from cxr.aws.request import cost_estimate
from cxr.core.errors import CxrError
from tests.aws import service_model
from tests.aws.project import Project
from tests.aws.wheel import write_wheel
from tests.settings import sagemaker


@pytest.fixture
def project(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Without a server, without credentials and without a network."""

    def refuse(*_: object) -> None:
        raise AssertionError("a dry run opened a connection")

    project = Project(tmp_path / "project", "films")
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    return project


def test_a_dry_run_prints_a_valid_request_and_its_cost_class(project: Project, capsys: Any) -> None:
    project.set_sagemaker(spot=True, max_wait_hours=1, instance_type="ml.g5.xlarge", image="auto")
    project.set_sagemaker(output_kms_key="alias/films")
    project.set_sagemaker(subnets=["subnet-0a1b2c3d"], security_groups=["sg-0a1b2c3d"])
    main(["train-remote", "--dry-run"])
    printed, _, rest = capsys.readouterr().out.partition("\n}\n")
    request = json.loads(printed + "\n}")
    assert service_model.fault(service_model.load("sagemaker"), "CreateTrainingJob", request) is None
    assert "pytorch" in request["AlgorithmSpecification"]["TrainingImage"]
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 720, "MaxWaitTimeInSeconds": 3600}
    assert request["OutputDataConfig"]["KmsKeyId"] == "alias/films"
    assert request["VpcConfig"] == {"SecurityGroupIds": ["sg-0a1b2c3d"], "Subnets": ["subnet-0a1b2c3d"]}
    assert "cost estimate: 1 x ml.g5.xlarge, at most 0.2 instance-hours (one GPU" in rest


def job_name(capsys: Any) -> str:
    main(["train-remote", "--dry-run"])
    return str(json.loads(capsys.readouterr().out.partition("\n}\n")[0] + "}")["TrainingJobName"])


def edit(path: Path) -> None:
    path.write_text(path.read_text() + "\n# changed\n")


def test_every_input_that_decides_the_result_gives_another_job(project: Project, capsys: Any) -> None:
    names = [job_name(capsys)]
    project.set_train(lr=0.5)
    names.append(job_name(capsys))
    project.set_sagemaker(image="another-image")
    names.append(job_name(capsys))
    edit(project.folder / "cxr" / "models" / "classifier.py")
    names.append(job_name(capsys))
    project.set_films(side=24)
    names.append(job_name(capsys))
    write_wheel(project.folder / "wheels", "travelling_package", "1.0")
    project.set_sagemaker(wheels="wheels")
    names.append(job_name(capsys))
    assert len(set(names)) == len(names)


def test_inputs_that_do_not_decide_the_result_keep_the_name_of_the_job(project: Project, capsys: Any) -> None:
    write_wheel(project.folder / "wheels", "travelling_package", "1.0")
    project.set_sagemaker(image="auto", instance_type="ml.m5.xlarge", wheels="wheels")
    name = job_name(capsys)
    project.set_sagemaker(max_hours=0.1, spot=True, instance_type="ml.g5.xlarge")  # whose image is another build
    assert job_name(capsys) == name
    write_wheel(project.folder / "wheels", "travelling_package", "1.0", word="the same source, built anew")
    assert job_name(capsys) == name
    for module in ("cxr/aws/container/entry.py", "cxr/runtime/compute.py", "cxr/runtime/console.py"):
        edit(project.folder / module)
    assert job_name(capsys) == name


@pytest.mark.parametrize(
    ("instance", "words"),
    [
        ("ml.m5.xlarge", "CPU"),
        ("ml.g5.xlarge", "one GPU"),
        ("ml.g5.48xlarge", "several"),
        ("ml.p5.48xlarge", "tens of"),
    ],
)
def test_cost_classes(instance: str, words: str) -> None:
    assert words in cost_estimate(sagemaker(instance_type=instance))


def test_all_missing_settings_are_reported_together(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("CXR_SAGEMAKER_ROLE", "CXR_SAGEMAKER_BUCKET", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(CxrError) as caught:
        resolve(sagemaker())
    assert str(caught.value) == (
        "compute.yaml: sagemaker.role: the environment variable CXR_SAGEMAKER_ROLE is not set; "
        "sagemaker.bucket: the environment variable CXR_SAGEMAKER_BUCKET is not set; "
        "sagemaker.region: none is configured, as by AWS_REGION; export them, or write the values there"
    )


VALUES = {"region": "eu-central-1", "role": "r", "bucket": "b", "image": "i"}


@pytest.mark.parametrize(
    ("instance", "told"),
    [
        ("ml.p2.xlarge", "no longer runs on its K80 GPUs"),
        ("ml.p3.2xlarge", "no longer runs on its V100 GPUs"),
        ("ml.trn1.2xlarge", "Neuron chips"),
        ("ml.inf2.xlarge", "Neuron chips"),
        ("ml.p6e-gb200.36xlarge", "an Arm processor"),
    ],
)
def test_an_instance_unsuitable_for_the_image_is_an_error_before_the_job(instance: str, told: str) -> None:
    with pytest.raises(CxrError, match=rf"sagemaker\.instance_type: {instance}: .*{told}"):
        resolve(sagemaker(instance_type=instance, **VALUES))


@pytest.mark.parametrize("region", ["cn-north-1", "us-gov-west-1"])
def test_china_and_govcloud_are_an_error_before_any_request(project: Project, region: str) -> None:
    project.set_sagemaker(region=region)
    with pytest.raises(CxrError, match=rf"sagemaker\.region: {region} belongs to AWS's partition aws-"):
        main(["train-remote"])
    project.set_sagemaker(region="ap-southeast-7")
    main(["train-remote", "--dry-run"])


def test_a_volume_too_small_for_the_data_is_an_error(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.set_sagemaker(volume_gb=5)
    with pytest.raises(CxrError, match=r"sagemaker\.volume_gb: 5 GB is too little"):
        main(["train-remote", "--dry-run"])
    project.set_sagemaker(instance_type="ml.g5.xlarge")  # has a disk of its own, of 250 GB
    main(["train-remote", "--dry-run"])


def test_a_fixed_disk_too_small_for_the_data_is_an_error(
    project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("cxr.aws.plan.ROOM_GB", 240.0)
    project.set_sagemaker(instance_type="ml.g5.xlarge")
    main(["train-remote", "--dry-run"])
    project.set_sagemaker(instance_type="ml.g4dn.2xlarge", volume_gb=16384)
    with pytest.raises(CxrError, match=r"ml\.g4dn\.2xlarge has a fixed disk of 225 GB, and .* need about 240 GB; take"):
        main(["train-remote", "--dry-run"])
    project.set_sagemaker(instance_type="ml.g6.10xlarge")
    main(["train-remote", "--dry-run"])
    assert "the size of the disk of ml.g6.10xlarge is not known here" in caplog.text


@pytest.mark.parametrize(("instance", "computes_on"), [("ml.m5.xlarge", "cpu"), ("ml.g5.xlarge", "gpu")])
def test_a_job_requests_the_processor_of_its_instance(
    project: Project, capsys: Any, instance: str, computes_on: str
) -> None:
    """With `auto` a GPU instance whose driver does not fit would train on its CPU, at the price of the GPU."""
    project.set_sagemaker(instance_type=instance)
    main(["train-remote", "--dry-run"])
    request = json.loads(capsys.readouterr().out.partition("\n}\n")[0] + "}")
    assert json.loads(request["Environment"]["CXR_COMPUTE"])["accelerator"] == computes_on


def test_retries_and_a_warm_pool_are_requested_if_they_are_set(project: Project, capsys: Any) -> None:
    main(["train-remote", "--dry-run"])
    assert "RetryStrategy" not in capsys.readouterr().out
    project.set_sagemaker(retries=2, keep_alive_minutes=15)
    main(["train-remote", "--dry-run"])
    request = json.loads(capsys.readouterr().out.partition("\n}\n")[0] + "}")
    assert request["RetryStrategy"] == {"MaximumRetryAttempts": 2}
    assert request["ResourceConfig"]["KeepAlivePeriodInSeconds"] == 900
    assert service_model.fault(service_model.load("sagemaker"), "CreateTrainingJob", request) is None
    project.set_sagemaker(spot=True, max_wait_hours=1)
    with pytest.raises(CxrError, match="a spot instance cannot be kept"):
        main(["train-remote", "--dry-run"])


@pytest.mark.parametrize("instance", ["ml.g5.xlarge", "ml.p4d.24xlarge", "ml.r5d.large"])
def test_a_key_for_a_disk_that_accepts_none_is_an_error_before_any_request(instance: str) -> None:
    values = {**VALUES, "volume_kms_key": "1234abcd"}
    with pytest.raises(CxrError, match=rf"sagemaker\.volume_kms_key: {instance} has a disk of its own"):
        resolve(sagemaker(instance_type=instance, **values))
    assert resolve(sagemaker(instance_type="ml.m5.large", **values)).volume_kms_key == "1234abcd"


def test_a_region_without_an_image_is_an_error() -> None:
    with pytest.raises(CxrError, match=r"sagemaker\.image: AWS has no PyTorch .* image for ml\..* in moon-1"):
        choose_image(sagemaker(region="moon-1", role="r", bucket="b"))
