"""Findings of the validation: what is wrong with a cohort, where, and what to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from cxr.core.errors import CxrError
from cxr.core.files import utf8, write_csv

SHOWN = 3  # examples of a finding


@dataclass(frozen=True)
class Finding:
    """One problem of a cohort. An error stops the run."""

    severity: Literal["error", "warning"]
    problem: str  # where and what, with its count
    remedy: str
    places: tuple[str, ...]

    def text(self, file: Path | None = None) -> str:
        """The problem with some examples, the file that lists all places where there are more, and the remedy."""
        shown = f", such as {' and '.join(self.places[:SHOWN])}" if self.places else ""
        rest = f" (all {len(self.places)} in {file})" if file and len(self.places) > SHOWN else ""
        return utf8(f"{self.problem}{shown}{rest}; {self.remedy}")

    def __str__(self) -> str:
        return self.text()


def error(problem: str, remedy: str, where: Sequence[str] = ()) -> Finding:
    """An error found in the places `where`; without places, in one."""
    return Finding("error", problem, remedy, tuple(where))


def warning(problem: str, remedy: str, where: Sequence[str] = ()) -> Finding:
    """A warning about the places `where`; without places, about one."""
    return Finding("warning", problem, remedy, tuple(where))


def of_fault(fault: CxrError) -> Finding:
    """An error from an exception: its text is the problem, the part behind the last semicolon the remedy."""
    problem, _, remedy = str(fault).rpartition("; ")
    return error(problem, remedy) if problem else error(remedy, "correct it")


def write_findings(path: Path, findings: Sequence[Finding]) -> None:
    """Write a CSV with one row per place of each finding: severity, problem, remedy, place."""
    rows = [
        (one.severity, utf8(one.problem), utf8(one.remedy), utf8(place))
        for one in findings
        for place in one.places or ("",)
    ]
    write_csv(path, pd.DataFrame(rows, columns=["severity", "problem", "remedy", "place"]))


def stop_at_errors(findings: Sequence[Finding], file: Path) -> None:
    """Raise CxrError with one line per error, if there are any; `file` lists all places."""
    found = errors(findings)
    if found:
        raise CxrError("\n".join(one.text(file) for one in found))


def errors(findings: Sequence[Finding]) -> list[Finding]:
    """The findings that stop a run."""
    return [finding for finding in findings if finding.severity == "error"]
