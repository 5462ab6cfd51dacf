"""Typed sections of params.yaml and compute.yaml.

A section is one frozen pydantic model. Files are read with the same YAML 1.2 parser that DVC uses, because
`dvc exp run -S train.lr=1e-5` writes `1e-05`, which a YAML 1.1 parser takes for a string.
"""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from cxr.core.errors import CxrError, did_you_mean

PARAMS_FILE = Path("params.yaml")


class Section(BaseModel):
    """A section of a YAML file: frozen, and closed to names that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


S = TypeVar("S", bound=Section)


def load_section(name: str, model: type[S], path: Path = PARAMS_FILE) -> S:
    """Read section `name` of a params file.

    Raises:
        CxrError: the file or the section is missing, or a value is unknown, misspelt or out of range.
    """
    document = read_yaml(path)
    if name not in document:
        raise CxrError(f"{path}: no section '{name}'{did_you_mean(name, document)}")
    return parse_section(document[name], model, f"{path}: {name}")


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML 1.2 file; raises CxrError when it is missing or is no mapping."""
    if not path.is_file():
        raise CxrError(f"{path}: no such file; run from the root of the repository")
    try:
        document = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except YAMLError as error:
        raise CxrError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise CxrError(f"{path}: expected a mapping of sections at the top level")
    return document


def parse_section(values: Any, model: type[S], where: str) -> S:
    """Validate plain values into a section; the first fault becomes one line that names the key and the value."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        at = f"{where}.{key}" if key else where
        if first["type"] == "extra_forbidden":
            raise CxrError(f"{at}: unknown parameter{did_you_mean(key, model.model_fields)}") from error
        if first["type"] == "missing":
            raise CxrError(f"{at}: missing; add it") from error
        got = "" if isinstance(first["input"], dict) else f" (got {first['input']!r})"  # a whole section says nothing
        raise CxrError(f"{at}: {first['msg'].removeprefix('Value error, ')}{got}") from error
