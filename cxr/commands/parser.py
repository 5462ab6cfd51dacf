"""How a command is declared, listed and run.

A command is a function whose docstring is its help; the first line is its summary in the list. Modules that add
commands import the library inside these functions, so that help loads none of it.
"""

import argparse
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from cxr.core.errors import CxrError, did_you_mean

PROGRAM = "python -m cxr"


class CommandParser(argparse.ArgumentParser):
    """The parser of one command; a wrong option is one line on stderr and exit code 2."""

    def __init__(self, name: str, run: Callable[[argparse.Namespace], None]) -> None:
        text = inspect.getdoc(run) or ""
        super().__init__(
            prog=f"{PROGRAM} {name}", description=text, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        self.summary = text.partition("\n")[0].rstrip(".")
        self.set_defaults(run=run)

    def error(self, message: str) -> NoReturn:
        """Exit with the mistake and the help to read."""
        self.exit(2, f"error: {message}; see `{self.prog} --help`\n")


class Commands:
    """The commands of one group, in the order in which they were added."""

    def __init__(self) -> None:
        self.parsers: dict[str, CommandParser] = {}

    def add(self, name: str, run: Callable[[argparse.Namespace], None]) -> CommandParser:
        """Add a command; returns its parser, for the options."""
        self.parsers[name] = CommandParser(name, run)
        return self.parsers[name]


Groups = dict[str, dict[str, CommandParser]]


def registered(groups: Mapping[str, Callable[[Commands], None]]) -> Groups:
    """The parsers of all commands, by group and name.

    Args:
        groups: for each title the function that adds the commands of the group.
    """
    found = {}
    for title, add_commands in groups.items():
        commands = Commands()
        add_commands(commands)
        found[title] = commands.parsers
    return found


def listing(groups: Groups) -> str:
    """One line per command, below the title of its group."""
    width = max(len(name) for group in groups.values() for name in group)
    lines = [f"usage: {PROGRAM} COMMAND [OPTIONS]; `{PROGRAM} COMMAND --help` lists the options"]
    for title, group in groups.items():
        lines += [f"{title}:", *(f"  {name:<{width}}  {parser.summary}" for name, parser in group.items())]
    return "\n".join(lines)


def run_command(groups: Groups, name: str, arguments: Sequence[str]) -> None:
    """Parse the arguments of one command and run it.

    Raises:
        CxrError: no such command, or what the command itself raises.
        SystemExit: code 2 after one line on stderr, for a wrong option.
    """
    parsers = {command: parser for group in groups.values() for command, parser in group.items()}
    if name not in parsers:
        raise CxrError(f"{name}: no such command{did_you_mean(name, parsers)}; `{PROGRAM}` lists them")
    options = parsers[name].parse_args(arguments)
    options.run(options)
