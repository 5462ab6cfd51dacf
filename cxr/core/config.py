"""Typed sections of params.yaml and compute.yaml.

A section is one frozen pydantic model. Files are read with the YAML 1.2 parser that DVC uses:
`dvc exp run -S train.lr=1e-5` writes `1e-05`, which a YAML 1.1 parser reads as a string.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from cxr.core.errors import CxrError, did_you_mean

PARAMS_FILE = Path("params.yaml")


class Section(BaseModel):
    """A section of a YAML file: frozen; unknown names are errors."""

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
    """The mapping in a YAML 1.2 file; raises CxrError when the file is missing or not a mapping."""
    if not path.is_file():
        raise CxrError(f"{path}: no such file; run from the root of the repository")
    try:
        document = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (YAMLError, ValueError, RecursionError) as error:  # not UTF-8, or an invalid date
        raise CxrError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise CxrError(f"{path}: expected a mapping of sections at the top level")
    return document


def parse_section(values: Any, model: type[S], where: str) -> S:
    """Validate plain values into a section; raises CxrError with the first error found."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise CxrError(_lines(error, model, where)[0]) from error


def validation_errors(values: Any, model: type[Section], where: str) -> list[str]:
    """Every error in the plain values of a section, one line each: key, value, allowed values."""
    try:
        model.model_validate(values)
    except ValidationError as error:
        return _lines(error, model, where)
    return []


def section_errors(document: dict[str, Any], sections: Mapping[str, type[Section]], path: Path) -> list[str]:
    """Every error in a file of several sections, including missing and unknown sections."""
    found = [f"{path}: unknown section '{name}'{did_you_mean(name, sections)}" for name in document.keys() - sections]
    for name, model in sections.items():
        if name in document:
            found += validation_errors(document[name], model, f"{path}: {name}")
        else:
            found.append(f"{path}: no section '{name}'; restore it with `git checkout -- {path}`")
    return found


def _lines(error: ValidationError, model: type[Section], where: str) -> list[str]:
    found: dict[str, list[str]] = {}
    for fault in error.errors():
        section, known = model, []
        for part in fault["loc"]:  # down to the field; later parts name a branch of its type
            known.append(str(part))
            field = section.model_fields.get(str(part))
            if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, Section)):
                break
            section = field.annotation
        at = ".".join([where, *known]) if known else where
        found.setdefault(at, []).append(_message(fault, section, known[-1] if known else ""))
    # A value that fits no branch of its type gives one message per branch.
    joined = {at: " or ".join(dict.fromkeys(messages)) for at, messages in found.items()}
    return [f"{at}: {re.sub(r' .got [^)]*. or expected', ' or', message)}" for at, message in joined.items()]


def _message(fault: Any, section: type[Section], name: str) -> str:
    if fault["type"] == "extra_forbidden":
        return f"unknown parameter{did_you_mean(name, section.model_fields)}"
    if fault["type"] == "missing":
        return "missing (there are no defaults); restore the line (`git diff` shows it)"
    got = "" if isinstance(fault["input"], dict) else f" (got {fault['input']!r})"  # a whole section is too long
    if fault["type"] == "string_pattern_mismatch":
        choices = str(section.model_fields[name].description)
        return f"expected {choices}{got}{did_you_mean(str(fault['input']), re.findall(r'[a-z0-9_]+', choices))}"
    if fault["type"] == "model_type":
        return f"expected a mapping of parameters{got}"
    message = fault["msg"].removeprefix("Value error, ")
    message = re.sub("^Input should be (?=greater|less)", "must be ", message).replace("Input should be", "expected")
    if fault["type"].endswith("_parsing"):
        message = message.partition(",")[0]
    allowed = re.findall("'(.*?)'", message)
    return f"{message}{got}{did_you_mean(str(fault['input']), allowed)}"
