"""List what deployments left in an account, found by the project's tag, and delete what can be deleted."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cxr.aws.endpoint import PROJECT
from cxr.aws.resources import CONFIG, ENDPOINT, MODEL, TRANSFORM, Account, Sort
from cxr.aws.session import aws_errors
from cxr.core.errors import CxrError

# Sort -> paginator, member with the list, prefix of the members of each entry; in the order of deletion. AWS keeps
# transform jobs without cost, and deletes none.
_LISTS = {
    ENDPOINT: ("list_endpoints", "Endpoints", "Endpoint"),
    CONFIG: ("list_endpoint_configs", "EndpointConfigs", "EndpointConfig"),
    MODEL: ("list_models", "Models", "Model"),
    TRANSFORM: ("list_transform_jobs", "TransformJobSummaries", "TransformJob"),
}
ALL = "all"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Owned:
    """A resource that a deployment made."""

    sort: Sort
    name: str
    state: str  # of an endpoint or a transform job; empty for the others, which cost nothing

    def __str__(self) -> str:
        return f"{self.sort} {self.name}" + (f" ({self.state})" if self.state else "")


def owned(account: Account) -> list[Owned]:
    """All resources with the project's tag, endpoints first."""
    return [each for sort in _LISTS for each in _of_sort(account, sort)]


def remove(account: Account, name: str) -> list[str]:
    """Delete an endpoint with its configuration and its models, or everything for `all`; returns what was deleted.

    Raises:
        CxrError: nothing of that name has the project's tag, or it is a transform job.
    """
    found = owned(account)
    if any(each.sort is TRANSFORM for each in found if each.name == name):
        raise CxrError(f"{name}: a transform job, which AWS keeps and does not bill after its end; nothing to delete")
    found = [each for each in found if each.sort is not TRANSFORM]
    chosen = found if name == ALL else [each for each in found if each.name in _belonging(account, name, found)]
    if not chosen and name != ALL:
        raise CxrError(f"{name}: no resource of that name has the tag project={PROJECT}; `deploy --list` shows all")
    return [f"{each.sort} {each.name}" for each in chosen if account.delete(each.sort, each.name)]


def _of_sort(account: Account, sort: Sort) -> Iterator[Owned]:
    operation, member, prefix = _LISTS[sort]
    with aws_errors(f"{sort}s"):
        pages = account.client.get_paginator(operation).paginate(NameContains=PROJECT)
        for entry in [entry for page in pages for entry in page[member]]:
            if ("project", PROJECT) in _tags(account.client, entry[f"{prefix}Arn"]):
                yield Owned(sort, entry[f"{prefix}Name"], entry.get(f"{prefix}Status", ""))


def _tags(client: Any, arn: str) -> set[tuple[str, str]]:
    pages = client.get_paginator("list_tags").paginate(ResourceArn=arn)
    return {(tag["Key"], tag["Value"]) for page in pages for tag in page["Tags"]}


def _belonging(account: Account, name: str, found: list[Owned]) -> set[str]:
    """The name, and where it is an endpoint's the names of its configuration and its models."""
    names = {each.name for each in found if each.name == name}
    if any(each.sort is ENDPOINT for each in found if each.name == name):
        endpoint = account.describe(ENDPOINT, name) or {}
        config = endpoint.get("EndpointConfigName", "")
        variants = (account.describe(CONFIG, config) or {}).get("ProductionVariants", []) if config else []
        names |= {config, *(variant["ModelName"] for variant in variants)}
    return names
