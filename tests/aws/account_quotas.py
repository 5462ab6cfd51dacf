"""A double of Service Quotas: the quotas of one account by instance type and use, in pages."""

from typing import Any

from tests.aws import service_model

_USES = {
    "TrainingInstanceType": ("training job", "spot training job", "training warm pool"),
    "ProductionVariantInstanceType": ("endpoint",),
    "TransformInstanceType": ("transform job",),
}


def account_quotas(instances: int = 4) -> dict[str, int]:
    """Name of every quota -> instances."""
    model = service_model.load("sagemaker")
    named = [
        (use, instance) for shape, uses in _USES.items() for use in uses for instance in model.shape_for(shape).enum
    ]
    return {f"{instance} for {use} usage": instances for use, instance in named}


def list_service_quotas(quotas: dict[str, int], request: dict[str, Any]) -> dict[str, Any]:
    """The answer to ListServiceQuotas."""
    begin, names = int(request.get("NextToken", 0)), list(quotas)
    found = [
        {"QuotaName": name, "QuotaCode": quota_code(quotas, name), "Value": quotas[name]}
        for name in names[begin : begin + 100]
    ]
    return {"Quotas": found} | ({"NextToken": str(begin + 100)} if begin + 100 < len(names) else {})


def request_increase(quotas: dict[str, int], request: dict[str, Any]) -> dict[str, Any]:
    """The answer to RequestServiceQuotaIncrease, which AWS may take a day for and which is granted here at once."""
    (name,) = [name for name in quotas if quota_code(quotas, name) == request["QuotaCode"]]
    quotas[name] = int(request["DesiredValue"])
    return {"RequestedQuota": {"QuotaName": name, "DesiredValue": request["DesiredValue"], "Status": "APPROVED"}}


def quota_code(quotas: dict[str, int], name: str) -> str:
    """The code of a quota, such as `L-0000002A`."""
    return f"L-{list(quotas).index(name):08X}"
