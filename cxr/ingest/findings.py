"""Findings of the validation: what is wrong with a cohort, how often, where, and what to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cxr.core.errors import CxrError
from cxr.core.files import utf8

SHOWN = 3  # examples of a finding


@dataclass(frozen=True)
class Finding:
    """One problem of a cohort. An error stops the run."""

    severity: Literal["error", "warning"]
    problem: str  # where and what, with its count
    remedy: str
    count: int
    examples: tuple[str, ...]

    def __str__(self) -> str:
        shown = f", such as {' and '.join(self.examples)}" if self.examples else ""
        return utf8(f"{self.problem}{shown}; {self.remedy}")


def error(problem: str, remedy: str, where: Sequence[str] = ()) -> Finding:
    """An error found in the places `where`; without places, in one."""
    return Finding("error", problem, remedy, max(1, len(where)), tuple(where[:SHOWN]))


def warning(problem: str, remedy: str, where: Sequence[str] = ()) -> Finding:
    """A warning about the places `where`; without places, about one."""
    return Finding("warning", problem, remedy, max(1, len(where)), tuple(where[:SHOWN]))


def of_fault(fault: CxrError) -> Finding:
    """An error from an exception: its text is the problem, the part behind the last semicolon the remedy."""
    problem, _, remedy = str(fault).rpartition("; ")
    return error(problem, remedy) if problem else error(remedy, "correct it")


def errors(findings: Sequence[Finding]) -> list[Finding]:
    """The findings that stop a run."""
    return [finding for finding in findings if finding.severity == "error"]
