"""The results of one revision: a commit, branch, tag or experiment of this repository, or the workspace."""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.scm import RevError, resolve_rev
from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML

from cxr.core.config import parse_section
from cxr.core.errors import CxrError
from cxr.evaluate.config import EvaluateSection
from cxr.evaluate.operating_point import OperatingPoint
from cxr.evaluate.predictions import check_operating_point, check_predictions, parse_predictions

WORKSPACE = "workspace"
PREDICTIONS = "metrics/predictions.csv"
OPERATING_POINT = "models/operating_point.json"
METRICS = "metrics/metrics.json"
SUBGROUPS = "metrics/subgroups.json"
DATA = "metrics/data.json"
SEGMENT = "metrics/segment.json"
PARAMS = "params.yaml"
HISTORY = "plots/learning_curves.csv"


@dataclass(frozen=True)
class Results:
    """Predictions, operating point, metrics and parameters of one revision."""

    name: str
    predictions: pd.DataFrame
    point: OperatingPoint
    metrics: dict[str, Any]
    subgroups: dict[str, Any]
    data: dict[str, Any]
    segment: dict[str, Any]
    params: dict[str, Any]
    history: pd.DataFrame | None  # one row an epoch

    @property
    def section(self) -> EvaluateSection:
        """The revision's own `evaluate` parameters."""
        return parse_section(self.params.get("evaluate", {}), EvaluateSection, f"{self.name}: {PARAMS}: evaluate")


class Revision:
    """Files of one revision, whether Git or DVC keeps them."""

    def __init__(self, name: str, repository: Path = Path(".")) -> None:
        self.name = name
        self._repository = repository
        self._files = None
        if name == WORKSPACE:
            return
        try:
            commit = resolve_rev(Repo(str(repository)).scm, name)  # knows experiments by name, too
        except (DvcException, RevError) as error:
            raise CxrError(f"{name}: no such revision; `git branch -a` and `dvc exp show` list them") from error
        self._files = DVCFileSystem(str(repository), rev=commit)

    def text(self, path: str) -> str:
        """A file's text; raises CxrError when the revision lacks it."""
        try:
            if self._files is None:
                return (self._repository / path).read_text(encoding="utf-8")
            return str(self._files.read_text(path, encoding="utf-8"))
        except (OSError, DvcException) as error:
            raise CxrError(f"{self.name}: no {path}; run `dvc repro evaluate` there and commit its results") from error

    def has(self, path: str) -> bool:
        """Whether the revision holds a file."""
        return (self._repository / path).is_file() if self._files is None else bool(self._files.isfile(path))


def read_results(name: str, repository: Path = Path(".")) -> Results:
    """Everything that evaluation left at a revision; raises CxrError naming the revision and the file at fault."""
    revision = Revision(name, repository)
    where = f"{name}: {PREDICTIONS}"
    predictions = parse_predictions(revision.text(PREDICTIONS), where)
    try:
        point = TypeAdapter(OperatingPoint).validate_json(revision.text(OPERATING_POINT))
        paths = (METRICS, SUBGROUPS, DATA, SEGMENT)
        metrics, subgroups, data, segment = (json.loads(revision.text(path)) for path in paths)
    except (ValueError, ValidationError) as error:
        raise CxrError(f"{name}: damaged metrics or operating point; run `dvc repro evaluate` there") from error
    check_predictions(predictions, point.classes, where)
    check_operating_point(predictions, point, f"{name}: {OPERATING_POINT}")
    params = YAML(typ="safe", pure=True).load(revision.text(PARAMS))
    history = pd.read_csv(io.StringIO(revision.text(HISTORY))) if revision.has(HISTORY) else None
    return Results(name, predictions, point, metrics, subgroups, data, segment, dict(params), history)
