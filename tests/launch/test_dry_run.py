"""`python -m tools.handoff --dry-run`: the request, and nothing sent."""

import json
import socket
from typing import Any

import pytest

from cxr.core.errors import CxrError
from cxr.launch.config import SageMakerSection
from cxr.launch.request import cost_class
from cxr.launch.settings import resolve
from tests.launch import service_model
from tests.launch.films import write_npz_set
from tests.launch.project import Project
from tools.handoff import main as handoff


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
    handoff(["--dry-run"])
    printed, _, rest = capsys.readouterr().out.partition("\n}\n")
    request = json.loads(printed + "\n}")
    assert service_model.fault(service_model.load("sagemaker"), "CreateTrainingJob", request) is None
    assert "pytorch" in request["AlgorithmSpecification"]["TrainingImage"]
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 720, "MaxWaitTimeInSeconds": 3600}
    assert request["OutputDataConfig"]["KmsKeyId"] == "alias/films"
    assert request["VpcConfig"] == {"SecurityGroupIds": ["sg-0a1b2c3d"], "Subnets": ["subnet-0a1b2c3d"]}
    assert "cost class: 1 x ml.g5.xlarge, at most 0.2 instance-hours (one GPU" in rest


def test_the_job_name_follows_data_code_parameters_and_image_and_nothing_else(project: Project, capsys: Any) -> None:
    def name() -> str:
        handoff(["--dry-run"])
        return str(json.loads(capsys.readouterr().out.partition("\n}\n")[0] + "}")["TrainingJobName"])

    names = [name()]
    project.set_sagemaker(max_hours=0.1, instance_type="ml.m5.large")
    assert name() == names[0]
    project.set_train(lr=0.5)
    names.append(name())
    project.set_sagemaker(image="another-image")
    names.append(name())
    module = project.folder / "cxr" / "models" / "classifier.py"
    module.write_text(module.read_text() + "\n# changed\n")
    names.append(name())
    write_npz_set(project.folder / "data" / "npz", side=24)
    names.append(name())
    assert len(set(names)) == len(names)


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
    assert words in cost_class(SageMakerSection(instance_type=instance))


def test_a_missing_variable_names_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXR_SAGEMAKER_ROLE", raising=False)
    with pytest.raises(CxrError, match=r"sagemaker\.role: the environment variable CXR_SAGEMAKER_ROLE is not set"):
        resolve(SageMakerSection())


@pytest.mark.parametrize("instance", ["ml.g5.xlarge", "ml.p4d.24xlarge", "ml.m5d.large"])
def test_a_key_for_a_disk_that_takes_none_is_refused_before_aws_does(instance: str) -> None:
    values = {"region": "eu-central-1", "role": "r", "bucket": "b", "image": "i", "volume_kms_key": "1234abcd"}
    with pytest.raises(CxrError, match=rf"sagemaker\.volume_kms_key: {instance} has a disk of its own"):
        resolve(SageMakerSection(instance_type=instance, **values))
    assert resolve(SageMakerSection(instance_type="ml.m5.large", **values)).volume_kms_key == "1234abcd"


def test_a_region_without_an_image_says_so() -> None:
    with pytest.raises(CxrError, match=r"sagemaker\.image: AWS has no PyTorch .* image for ml\.g5\.xlarge in moon-1"):
        resolve(SageMakerSection(region="moon-1", role="r", bucket="b"))
