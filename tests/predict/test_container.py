"""docker/serve: what it starts, and as whom."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.bundles import ROOT


@pytest.fixture
def stubs(tmp_path: Path) -> Path:
    """Commands that print their arguments; `id` says root."""
    for name, script in {"python": "echo python $*", "setpriv": "echo setpriv $*", "id": "echo 0"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    return tmp_path


def started(stubs: Path, *arguments: str, **environment: str) -> str:
    command = ["sh", str(ROOT / "docker/serve"), *arguments]
    variables = {"PATH": f"{stubs}{os.pathsep}{os.environ['PATH']}", **environment}
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=True).stdout.strip()


def test_root_is_given_up_outside_sagemaker_and_kept_inside(stubs: Path) -> None:
    serve = "python -m cxr serve --bundle /opt/ml/model --host 0.0.0.0 --port 8080"
    assert started(stubs, CXR_PLATFORM="sagemaker") == serve
    outside = started(stubs, "--open")
    assert outside.startswith("setpriv --reuid=10001 --regid=10001 --clear-groups")
    assert outside.endswith(f"{serve} --open")


def test_the_image_names_no_user_and_makes_the_code_readable_by_all() -> None:
    lines = (ROOT / "docker/Dockerfile").read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if line.startswith("USER")]
    assert any("chmod -R a+rX /srv" in line for line in lines)


def test_the_image_is_built_as_sagemaker_takes_it_and_pushed_where_a_name_is_given(tmp_path: Path) -> None:
    (tmp_path / "docker").write_text(f"#!/bin/sh\necho $* >> {tmp_path}/calls\n")
    (tmp_path / "docker").chmod(0o755)
    name = "1.dkr.ecr.eu-central-1.amazonaws.com/cxr-serve:1"
    for pushed in ("", name):
        variables = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "CXR_SERVING_IMAGE": pushed}
        command = ["make", "--silent", f"BIN={tmp_path}", "image"]
        subprocess.run(command, cwd=ROOT, env=variables, check=True, capture_output=True)
    build, again, tag, push = (tmp_path / "calls").read_text().splitlines()
    assert build == again
    assert {"--platform", "linux/amd64", "--provenance=false", "--output", "type=docker"} <= set(build.split())
    assert (tag, push) == (f"tag cxr-serve {name}", f"push {name}")
