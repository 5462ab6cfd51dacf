"""AWS sessions, checks of region and quotas before anything is sent, and AWS errors as a CxrError of one line."""

import contextlib
import logging
import os
from collections.abc import Iterator
from typing import Any

import boto3
import botocore.exceptions as aws

from cxr.core.errors import CxrError

log = logging.getLogger(__name__)
_REJECTED_KEYS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "UnrecognizedClientException"}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
_BUSY = {
    "Throttling",
    "ThrottlingException",
    "RequestLimitExceeded",
    "SlowDown",
    "ServiceUnavailable",
    "InternalFailure",
}


def aws_session(region: str | None = None) -> Any:
    """A session in `region`, else in AWS_REGION (which boto3 does not read), else in that of the AWS configuration."""
    with aws_errors("AWS"):
        return boto3.Session(region_name=region or os.environ.get("AWS_REGION"))


def check_partition(region: str, where: str) -> None:
    """Raise CxrError for a region of China, GovCloud or another partition of AWS; `where` begins the message."""
    try:
        partition = aws_session(region).get_partition_for_region(region)
    except aws.UnknownRegionError:  # of a custom endpoint, or newer than this SDK
        return
    if partition != "aws":
        raise CxrError(
            f"{where}: {region} belongs to AWS's partition {partition}, where accounts, ARNs and image registries are "
            "others and docs/aws.md does not hold; take a region outside China and GovCloud"
        )


def check_quotas(session: Any, needed: dict[str, int]) -> None:
    """Compare quotas of SageMaker with what is needed. Where they cannot be read, a warning says so.

    Args:
        session: an AWS session.
        needed: name of a quota, such as `ml.g5.xlarge for training job usage` -> instances.

    Raises:
        CxrError: a quota is smaller; the message has the command that asks for more.
    """
    try:
        with aws_errors("quotas"):
            listing = session.client("service-quotas").get_paginator("list_service_quotas")
            pages = listing.paginate(ServiceCode="sagemaker", PaginationConfig={"PageSize": 100})
            found = {quota["QuotaName"]: quota for page in pages for quota in page["Quotas"]}
    except CxrError as error:
        log.warning("%s; not checked: %s", error, ", ".join(needed))
        return
    for name, count in needed.items():
        if name not in found:
            log.warning("quotas: AWS lists none called %r; not checked", name)
        elif found[name]["Value"] < count:
            raise CxrError(
                f"quotas: {name}: {found[name]['Value']:g}, and {count} needed; another instance type, or `aws "
                "service-quotas request-service-quota-increase --service-code sagemaker --quota-code "
                f"{found[name]['QuotaCode']} --desired-value {count}`"
            )


class MissingObject(CxrError):
    """The object does not exist."""


class TransientError(CxrError):
    """An error that may end without a change of the request: no network, a busy service, expired credentials."""


@contextlib.contextmanager
def aws_errors(where: str) -> Iterator[None]:
    """Translate each error of an AWS call into a CxrError of one line; `where` begins it."""
    try:
        yield
    except aws.ClientError as error:
        raise _translate(error, where) from error
    except (aws.SSOError, aws.TokenRetrievalError) as error:
        raise TransientError(f"{where}: the AWS sign-in has expired ({error}); run `aws sso login`") from error
    except (aws.NoCredentialsError, aws.PartialCredentialsError) as error:
        raise CxrError(f"{where}: no AWS credentials found; run `aws configure sso` or set AWS_PROFILE") from error
    except aws.ProfileNotFound as error:
        raise CxrError(f"{where}: {error}; set AWS_PROFILE to one of `aws configure list-profiles`") from error
    except aws.NoRegionError as error:
        raise CxrError(f"{where}: no AWS region; set AWS_REGION, or sagemaker.region in compute.yaml") from error
    except (aws.ConnectionError, aws.HTTPClientError, aws.IncompleteReadError) as error:
        raise TransientError(
            f"{where}: no answer from the server ({error}); check the network, then run again"
        ) from error
    except aws.BotoCoreError as error:
        raise CxrError(f"{where}: {' '.join(str(error).split())}") from error


def _translate(error: aws.ClientError, where: str) -> CxrError:
    code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code == "NoSuchBucket" or (code == "404" and where.count("/") == 2):
        return CxrError(f"{where}: no such bucket; create it or correct its name")
    if code in {"404", "NoSuchKey"}:
        return MissingObject(f"{where}: no such object")
    if code in _EXPIRED:
        return TransientError(
            f"{where}: the AWS credentials have expired; renew them, for example with `aws sso login`"
        )
    if code in _REJECTED_KEYS:
        return CxrError(f"{where}: the AWS credentials are invalid ({code}); renew them or choose another AWS_PROFILE")
    if code in {"AccessDenied", "AccessDeniedException", "403"}:
        return CxrError(f"{where}: access denied ({message}); docs/aws.md has the policy that allows it")
    if code == "ResourceLimitExceeded":
        return CxrError(f"{where}: the account's quota is used up ({message}); raise it under Service Quotas")
    text = f"{where}: {error.operation_name} failed: {code}: {' '.join(message.split())}"
    return TransientError(text) if code in _BUSY or status >= 500 else CxrError(text)
