"""A stand-in for the AWS CLI: commands are checked against botocore's service model, and run against doubles.

`aws SERVICE OPERATION --option value … [--query EXPRESSION] [--output text|table|json]`, as docs/aws.md writes it. All
services but Service Quotas are those of the server at MOTO_URL.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import boto3
import jmespath
from botocore import xform_name
from botocore.model import OperationModel, Shape
from botocore.session import get_session

SERVICES = {"s3api": "s3"}  # of the CLI -> of the SDK
USAGE = 252  # exit code of a wrong command


class WrongCommand(Exception):
    """The CLI knows no such operation or option, or an option is missing."""


def parse(words: list[str]) -> tuple[OperationModel, dict[str, Any], dict[str, str]]:
    """The operation of a command, its request and the options that shape the output.

    Raises:
        WrongCommand: the service model has no such operation or option, or it requires one more.
    """
    service, name, *rest = words
    model = get_session().get_service_model(SERVICES.get(service, service))
    operations = {xform_name(each, "-"): each for each in model.operation_names}
    if name not in operations:
        raise WrongCommand(f"aws {service}: no operation {name}")
    operation = model.operation_model(operations[name])
    members = operation.input_shape.members if operation.input_shape else {}
    options = {f"--{xform_name(each, '-')}": each for each in members}
    request: dict[str, Any] = {}
    shown: dict[str, str] = {}
    for option, value in zip(rest[::2], rest[1::2], strict=True):
        if option in ("--query", "--output"):
            shown[option] = value
        elif option in options:
            request[options[option]] = _value(members[options[option]], value)
        else:
            raise WrongCommand(f"aws {service} {name}: no option {option}")
    required = operation.input_shape.required_members if operation.input_shape else []
    if missing := [each for each in required if each not in request]:
        raise WrongCommand(f"aws {service} {name}: missing {', '.join(missing)}")
    return operation, request, shown


def _value(shape: Shape, text: str) -> Any:
    if text.startswith("file://"):
        text = Path(text.removeprefix("file://")).read_text(encoding="utf-8")
    if shape.type_name == "structure" and not text.lstrip().startswith("{"):
        pairs = [pair.partition("=") for pair in text.split(",")]
        return {name: _value(shape.members[name], value) for name, _, value in pairs}
    if shape.type_name == "list" and not text.lstrip().startswith("["):
        return [_value(shape.member, each) for each in text.split()]
    return text if shape.type_name == "string" else json.loads(text)


def main(words: list[str]) -> int:
    """Run one command; returns the exit code."""
    if words[:2] == ["ecr", "get-login-password"]:  # the only command that is no operation of the service
        print("password")
        return 0
    try:
        operation, request, shown = parse(words)
    except WrongCommand as error:
        print(error, file=sys.stderr)
        return USAGE
    service, method = operation.service_model.service_name, xform_name(operation.name)
    place = {} if service == "service-quotas" else {"endpoint_url": os.environ["MOTO_URL"]}
    client = boto3.client(service, region_name=os.environ["AWS_REGION"], **place)
    if client.can_paginate(method):
        answer = client.get_paginator(method).paginate(**request).build_full_result()
    else:
        answer = getattr(client, method)(**request)
    answer.pop("ResponseMetadata", None)
    answer = jmespath.search(shown["--query"], answer) if "--query" in shown else answer
    print(answer if shown.get("--output") == "text" else json.dumps(answer, indent=2, default=str))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
