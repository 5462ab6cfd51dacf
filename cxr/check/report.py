"""A table of what was understood, with the faults and doubts that came up on the way."""

from collections.abc import Callable
from dataclasses import dataclass, field

from cxr.core.errors import CxrError
from cxr.core.files import utf8


@dataclass
class CheckReport:
    """Rows of the table, faults that would stop a run, and warnings that would not."""

    rows: list[tuple[str, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def row(self, name: str, text: str) -> None:
        """Add a row."""
        self.rows.append((name, text))

    def attempt(self, name: str, ask: Callable[[], str]) -> None:
        """Add a row with the answer, or a fault where the question ends in a CxrError."""
        try:
            self.row(name, ask())
        except CxrError as error:
            self.faults += str(error).splitlines()

    def as_text(self) -> str:
        """The rows in two columns."""
        width = max((len(name) for name, _ in self.rows), default=0)
        return utf8("\n".join(f"{name:<{width}}  {text}" for name, text in self.rows))
