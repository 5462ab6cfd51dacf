"""Quotas of the account, read before anything is sent."""

import logging
from typing import Any

from cxr.aws.session import aws_errors
from cxr.core.errors import CxrError

log = logging.getLogger(__name__)


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
