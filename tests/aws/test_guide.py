"""The commands of docs/aws.md, and of docs/predict.md on endpoints, run in a clone against S3, moto and the doubles.

`aws` is tests/aws/cli.py, which checks each command against botocore's service model. `docker` records its arguments.
SKIPPED names the commands that are tested elsewhere, BROWSER the steps in a browser.
"""

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from testing.seaweed import SeaweedFS
from testing.workspace import commit, load_yaml, make_clone, save_yaml
from tests.aws import cli
from tests.aws.account_quotas import quota_code
from tests.aws.control_plane import ControlPlane
from tests.aws.serving_plane import ServingPlane
from tests.conftest import phantom, write_image
from tests.test_pipeline import sh

ROOT = Path(__file__).parents[2]
PAGES = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("docs/aws.md", "docs/predict.md")}
GUIDE = PAGES["docs/aws.md"]
ENDPOINTS = PAGES["docs/predict.md"].partition("\n### SageMaker endpoints\n")[2].partition("\n## ")[0]
SKIPPED = {
    "make wheels": "downloads packages; `make drill` of CI runs it",
    "pytest tests/aws": "these tests",
    "make drill": "needs the wheels; CI runs it",
}
BROWSER = ("Attach `cxr-submitter` and `cxr-deployer`", "`aws configure sso`", "`aws sso login`")
# What the text between the commands asks to edit in compute.yaml, before this command.
EDITS = {
    "python -m cxr train-remote --dry-run": {
        "instance_type": "ml.m5.xlarge",
        "max_hours": 1,
        "wheels": "none",  # as `make wheels` is skipped
        "poll_seconds": 0.2,
    }
}
QUOTA = "ml.g5.xlarge for training job usage"


def commands(text: str) -> list[str]:
    """Every command in the shell blocks of a page; a loop is one command."""
    found: list[str] = []
    for block in re.findall(r"(?ms)^```bash\n(.*?)^```", text):
        open_loop = False
        for line in re.sub(r"\\\n *", "", block).splitlines():
            if open_loop:
                found[-1] += f"\n{line}"
            else:
                found.append(line)
            open_loop = found[-1].startswith("for ") and line != "done"
    return [command.strip() for command in found]


def aws_commands(text: str) -> list[list[str]]:
    """The words of every `aws` command of a page, inside blocks and in the text."""
    lines = [line for command in commands(text) for line in command.splitlines()]
    lines += [span.replace("\n", " ") for span in re.findall(r"`(aws [a-z0-9-]+ [^`]* --[^`]*)`", text)]
    found = []
    for line in lines:
        inner = re.search(r"\$\((aws [^)]*)\)", line)
        command = inner[1] if inner else line.partition(" | ")[0]
        if command.startswith("aws "):
            found.append(shlex.split(command, comments=True)[1:])
    return found


def test_the_page_on_aws_is_short_enough_to_be_read() -> None:
    assert len(GUIDE.split()) <= 2500


@pytest.mark.parametrize("words", [words for text in PAGES.values() for words in aws_commands(text)], ids=" ".join)
def test_every_aws_command_of_the_pages_has_an_operation_and_options_of_the_service_model(
    words: list[str], tmp_path: Path
) -> None:
    if words[:2] == ["ecr", "get-login-password"]:
        return
    document = tmp_path / "policy.json"
    document.write_text("{}")
    cli.parse([f"file://{document}" if word.startswith("file://") else word for word in words])


@pytest.mark.parametrize("wrong", ["iam create-rol --role-name a", "iam create-role --rolename a", "iam create-role"])
def test_a_wrong_aws_command_is_refused(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(wrong.split()) == cli.USAGE
    assert "aws iam" in capsys.readouterr().err


@pytest.fixture
def moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server for IAM, STS and the settings of buckets."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("MOTO_URL", f"http://{host}:{port}")
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder with `aws`, and with a `docker` that records its arguments in docker.log."""
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "aws").write_text(f'#!/bin/sh\nexec {sys.executable} -P {ROOT}/tests/aws/cli.py "$@"\n')
    docker = f'echo "$@" >> {folder}/docker.log\n[ "$1" != login ] || cat > {folder}/password'
    (folder / "docker").write_text(f"#!/bin/sh\n{docker}\n")
    for tool in folder.iterdir():
        tool.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which the pipeline ran."""
    folder = make_clone(tmp_path_factory.mktemp("guide") / "clone")
    done = sh("dvc", "repro", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Reader:
    """Somebody who types the commands in one terminal, with values of their own in place of the page's examples."""

    def __init__(self, checkout: Path, tools: Path, values: dict[str, str]) -> None:
        self.checkout, self.values = checkout, values
        self.terminal, self.home = tools.parent / "terminal.sh", tools.parent / "home"
        self.terminal.write_text(f"export PATH={tools}:$PATH\n")
        self.home.mkdir()

    def type(self, command: str) -> str:
        """Run a command after those before it; returns what it printed."""
        for example, value in self.values.items():
            command = command.replace(example, value)
        command = re.sub(r"\bmake ", "make -o .venv/.installed ", command)
        script = f"source {self.terminal}\n{command}\nexport -p > {self.terminal}"
        done = sh("bash", "-euo", "pipefail", "-c", script, cwd=self.checkout, HOME=str(self.home), PYTHONPATH="")
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr


@pytest.mark.journey
def test_the_commands_of_the_page_run_from_top_to_bottom(
    plane: ControlPlane, moto: str, tools: Path, s3: Any, bucket: str, seaweed: SeaweedFS, checkout: Path
) -> None:
    plane.quotas[QUOTA] = 0  # as in a new account
    for index in range(2):
        s3.put_object(Bucket=bucket, Key=f"x-ray-v2/train/NORMAL/{index}.png", Body=b"film")
    values = {"my-bucket": bucket, "s3://films/": f"s3://{bucket}/", "https://s3.example.org": seaweed.url}
    reader = Reader(checkout, tools, values | {"L-…": quota_code(plane.quotas, QUOTA)})
    skipped, printed = set(), {}
    for command in commands(GUIDE):
        text = command.partition("  #")[0].strip()
        if found := [name for name in SKIPPED if text.startswith(name)]:
            skipped.update(found)
            continue
        if text in EDITS:
            document = load_yaml(checkout / "compute.yaml")
            document["sagemaker"] |= EDITS[text]
            save_yaml(checkout / "compute.yaml", document)
            commit(checkout)
        if text == "python -m cxr train-remote":
            (checkout / "models/classifier.ckpt").unlink()  # the model must be the job's
        printed[text] = reader.type(command)
        if text.startswith("python -m cxr publish") and "--fetch" not in text:
            reader.values["<md5>"] = re.search(rf"s3://{bucket}/npz/(\w{{32}})/", printed[text]).group(1)
    assert skipped == {*SKIPPED}
    assert all(step in GUIDE for step in BROWSER)
    check_account(moto, bucket)
    assert plane.quotas[QUOTA] == 1
    assert (checkout / "data/raw/x-ray-v2/train/NORMAL/1.png").read_bytes() == b"film"
    assert '"TrainingJobName"' in printed["python -m cxr train-remote --dry-run"]
    assert "Completed" in printed["python -m cxr train-remote"]
    assert len(plane.created()) == 1
    assert (checkout / "models/classifier.ckpt").is_file()


@pytest.mark.journey
def test_the_commands_on_endpoints_run_from_top_to_bottom(
    serving: ServingPlane, moto: str, tools: Path, s3: Any, bucket: str, checkout: Path
) -> None:
    """`--delete all` comes between an endpoint of one kind and one of another, as the page says."""
    write_image(checkout / "film.jpg", phantom(3, 640, 512)[0])
    s3.put_object(Bucket=bucket, Key="films/a.jpg", Body=(checkout / "film.jpg").read_bytes())
    values = {"=bucket/prefix": f"={bucket}/prefix", "s3://bucket/films/": f"s3://{bucket}/films/"}
    reader, printed = Reader(checkout, tools, values), {}
    for command in commands(ENDPOINTS):
        text = command.partition("  #")[0].strip()
        if text == "python -m cxr deploy --film film.jpg":
            reader.type("python -m cxr deploy --delete all")
        printed[text] = reader.type(command)
        if text == "python -m cxr deploy --list":
            reader.values["NAME"] = re.search(r"(?m)^endpoint (\S+) \(InService\)", printed[text]).group(1)
    registry = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
    assert (tools / "docker.log").read_text().splitlines() == [
        f"login --username AWS --password-stdin {registry}",
        "buildx build --platform linux/amd64 --provenance=false --sbom=false --output type=docker "
        "-f docker/Dockerfile -t cxr-serve .",
        f"tag cxr-serve {registry}/cxr-serve:1",
        f"push {registry}/cxr-serve:1",
    ]
    assert (tools / "password").read_text() == "password\n"
    ecr = boto3.client("ecr", endpoint_url=moto, region_name="eu-central-1")
    assert [each["repositoryName"] for each in ecr.describe_repositories()["repositories"]] == ["cxr-serve"]
    (predictions,) = re.findall(rf"predictions: s3://{bucket}/(\S+)", "".join(printed.values()))
    assert s3.get_object(Bucket=bucket, Key=f"{predictions}a.jpg.out")["Body"].read().startswith(b"{")
    assert len(serving.packages) == 1
    assert not serving.endpoints


def check_account(moto: str, bucket: str) -> None:
    """Both roles with their policies, the people's two policies, and a bucket that is closed and encrypted."""
    iam = boto3.client("iam", endpoint_url=moto, region_name="eu-central-1")
    for role in ("cxr-training-job", "cxr-endpoint"):
        trust = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
        assert trust["Statement"][0]["Principal"] == {"Service": "sagemaker.amazonaws.com"}
        policy = str(iam.get_role_policy(RoleName=role, PolicyName="cxr")["PolicyDocument"])
        assert f"arn:aws:s3:::{bucket}" in policy
        assert not re.search("BUCKET|REGION|ACCOUNT|JOB_ROLE|KEY", policy)
    made = {each["PolicyName"] for each in iam.list_policies(Scope="Local")["Policies"]}
    assert made == {"cxr-submitter", "cxr-deployer"}
    s3 = boto3.client("s3", endpoint_url=moto, region_name="eu-central-1")
    assert set(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values()) == {True}
    (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
