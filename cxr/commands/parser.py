"""Parsers of commands. A command is a function whose docstring is its help: the first line is the one in the list.

The modules that register commands import the library inside of these functions, so that help costs no import.
"""

import argparse
import inspect
from collections.abc import Callable
from typing import NoReturn

PROGRAM = "python -m cxr"


class CommandParser(argparse.ArgumentParser):
    """The parser of one command; a mistake is one line on stderr and exit code 2."""

    def __init__(self, name: str, run: Callable[[argparse.Namespace], None]) -> None:
        text = inspect.getdoc(run) or ""
        super().__init__(
            prog=f"{PROGRAM} {name}", description=text, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        self.summary = text.partition("\n")[0].rstrip(".")
        self.set_defaults(run=run)

    def error(self, message: str) -> NoReturn:
        """Exit with the mistake and where to look."""
        self.exit(2, f"error: {message}; see `{self.prog} --help`\n")


class Commands:
    """The commands of one group, in the order in which they were added."""

    def __init__(self) -> None:
        self.parsers: dict[str, CommandParser] = {}

    def add(self, name: str, run: Callable[[argparse.Namespace], None]) -> CommandParser:
        """Add a command; returns its parser, for the options."""
        self.parsers[name] = CommandParser(name, run)
        return self.parsers[name]
