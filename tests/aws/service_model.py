"""Check an AWS request against botocore's own service model, as the service would: more than the client itself does."""

import re
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape

# The model's patterns are Java's; Python has no \\p{…} classes.
_JAVA = {
    r"\p{L}": "a-zA-ZÀ-ɏ",
    r"\p{Z}": r"\s",
    r"\p{N}": "0-9",
    r"\p{M}": "\u0300-\u036f",
    r"\p{S}": r"$+<=>^`|~",
    r"\p{P}": r"!-/:-@\[-_{-}",
}
_KINDS = {"string": str, "integer": int, "long": int, "boolean": bool, "list": list, "map": dict, "structure": dict}


def load(service: str) -> ServiceModel:
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def fault(model: ServiceModel, operation: str, request: dict[str, Any]) -> str | None:
    """The first violation as `path: what`, or None."""
    shape = model.operation_model(operation).input_shape
    return None if shape is None else next(iter(_faults(shape, request, operation)), None)


def _faults(shape: Shape, value: Any, path: str) -> list[str]:
    kind = _KINDS.get(shape.type_name)
    if kind and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
        return [f"{path}: expected {shape.type_name}, got {type(value).__name__}"]
    found = _bounds(shape, value, path)
    if shape.type_name == "structure":
        found += [f"{path}.{name}: required" for name in shape.required_members if name not in value]
        found += [f"{path}.{name}: unknown member" for name in value if name not in shape.members]
        for name in value.keys() & shape.members.keys():
            found += _faults(shape.members[name], value[name], f"{path}.{name}")
    elif shape.type_name == "list":
        for place, item in enumerate(value):
            found += _faults(shape.member, item, f"{path}[{place}]")
    elif shape.type_name == "map":
        for key, item in value.items():
            found += _faults(shape.key, key, f"{path} key {key!r}") + _faults(shape.value, item, f"{path}[{key!r}]")
    return found


def _bounds(shape: Shape, value: Any, path: str) -> list[str]:
    meta, found = shape.metadata, []
    measure = value if isinstance(value, int) else len(value) if isinstance(value, (str, list, dict)) else None
    if measure is not None and "min" in meta and measure < meta["min"]:
        found.append(f"{path}: {measure} is below {meta['min']}")
    if measure is not None and "max" in meta and measure > meta["max"]:
        found.append(f"{path}: {measure} is above {meta['max']}")
    if "enum" in meta and value not in meta["enum"]:
        found.append(f"{path}: {value!r} is not one of the allowed values")
    if "pattern" in meta:
        pattern = meta["pattern"]
        for java, python in _JAVA.items():
            pattern = pattern.replace(java, python)
        pattern = pattern.replace("${", "{")  # a slip of the model's: `)${1,128}` for `){1,128}`
        if not re.fullmatch(pattern, value):
            found.append(f"{path}: {value!r} does not match {meta['pattern']}")
    return found
