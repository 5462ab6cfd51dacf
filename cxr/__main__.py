"""The command line: `python -m cxr` lists the commands, `python -m cxr COMMAND --help` says what one takes."""

import sys
from collections.abc import Sequence

from cxr.commands.aws import add_aws_commands
from cxr.commands.data import add_data_commands
from cxr.commands.experiments import add_experiment_commands
from cxr.commands.parser import PROGRAM, CommandParser, Commands
from cxr.commands.predict import add_predict_commands
from cxr.commands.repo import add_repo_commands
from cxr.commands.results import add_result_commands
from cxr.core.errors import CxrError, did_you_mean
from cxr.runtime.console import run_stage

GROUPS = {
    "Films": add_data_commands,
    "Results": add_result_commands,
    "Experiments": add_experiment_commands,
    "Prediction": add_predict_commands,
    "AWS": add_aws_commands,
    "Repository": add_repo_commands,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; list all of them where none is named.

    Raises:
        CxrError: no such command, or what the command itself raises.
        SystemExit: code 2 after one line on stderr, for a wrong option.
    """
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    groups = registered()
    if name in ("-h", "--help"):
        print(listing(groups))
        return
    parsers = {command: parser for group in groups.values() for command, parser in group.items()}
    if name not in parsers:
        raise CxrError(f"{name}: no such command{did_you_mean(name, parsers)}; `{PROGRAM}` lists them")
    options = parsers[name].parse_args(rest)
    options.run(options)


def registered() -> dict[str, dict[str, CommandParser]]:
    """The parsers of all commands, by group and name."""
    groups = {}
    for title, add_commands in GROUPS.items():
        commands = Commands()
        add_commands(commands)
        groups[title] = commands.parsers
    return groups


def listing(groups: dict[str, dict[str, CommandParser]]) -> str:
    """One line per command, below the title of its group."""
    width = max(len(name) for group in groups.values() for name in group)
    lines = [f"usage: {PROGRAM} COMMAND [OPTIONS]; `{PROGRAM} COMMAND --help` lists the options"]
    for title, group in groups.items():
        lines += [f"{title}:", *(f"  {name:<{width}}  {parser.summary}" for name, parser in group.items())]
    return "\n".join(lines)


if __name__ == "__main__":
    run_stage(main)
