"""Faults of AWS calls in one line that says where and what to do."""

import contextlib
from collections.abc import Iterator

import botocore.exceptions as aws

from cxr.core.errors import CxrError

_KEYS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "UnrecognizedClientException"}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
_BUSY = {
    "Throttling",
    "ThrottlingException",
    "RequestLimitExceeded",
    "SlowDown",
    "ServiceUnavailable",
    "InternalFailure",
}


class MissingObject(CxrError):
    """The object is not there."""


class Passing(CxrError):
    """A fault that may pass by itself or be mended from outside: no network, a busy service, expired credentials."""


@contextlib.contextmanager
def faults(where: str) -> Iterator[None]:
    """Turn each fault of an AWS call into a CxrError."""
    try:
        yield
    except aws.ClientError as error:
        raise _told(error, where) from error
    except (aws.SSOError, aws.TokenRetrievalError) as error:
        raise Passing(f"{where}: the AWS sign-in has expired ({error}); run `aws sso login`") from error
    except (aws.NoCredentialsError, aws.PartialCredentialsError) as error:
        raise CxrError(f"{where}: no AWS credentials found; run `aws configure sso` or set AWS_PROFILE") from error
    except aws.ProfileNotFound as error:
        raise CxrError(f"{where}: {error}; set AWS_PROFILE to one of `aws configure list-profiles`") from error
    except aws.NoRegionError as error:
        raise CxrError(f"{where}: no AWS region; set AWS_REGION, or sagemaker.region in compute.yaml") from error
    except (aws.ConnectionError, aws.HTTPClientError, aws.IncompleteReadError) as error:
        raise Passing(f"{where}: no answer from the server ({error}); check the network, then run again") from error
    except aws.BotoCoreError as error:
        raise CxrError(f"{where}: {' '.join(str(error).split())}") from error


def _told(error: aws.ClientError, where: str) -> CxrError:
    code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code == "NoSuchBucket" or (code == "404" and where.count("/") == 2):
        return CxrError(f"{where}: no such bucket; create it or correct its name")
    if code in {"404", "NoSuchKey"}:
        return MissingObject(f"{where}: no such object")
    if code in _EXPIRED:
        return Passing(f"{where}: the AWS credentials have expired; renew them, as with `aws sso login`")
    if code in _KEYS:
        return CxrError(f"{where}: the AWS credentials are refused ({code}); renew them or choose another AWS_PROFILE")
    if code in {"AccessDenied", "AccessDeniedException", "403"}:
        return CxrError(f"{where}: access denied ({message}); docs/aws.md has the policy that allows it")
    if code == "ResourceLimitExceeded":
        return CxrError(f"{where}: the account's quota is used up ({message}); ask for more under Service Quotas")
    text = f"{where}: {error.operation_name} refused: {code}: {' '.join(message.split())}"
    return Passing(text) if code in _BUSY or status >= 500 else CxrError(text)
