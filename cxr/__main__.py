"""The command line: `python -m cxr` lists the commands, `python -m cxr COMMAND --help` explains one."""

import sys
from collections.abc import Sequence

from cxr.commands.aws import add_aws_commands
from cxr.commands.data import add_data_commands
from cxr.commands.experiments import add_experiment_commands
from cxr.commands.parser import listing, registered, run_command
from cxr.commands.predict import add_predict_commands
from cxr.commands.publish import add_publish_commands
from cxr.commands.repo import add_repo_commands
from cxr.commands.results import add_result_commands
from cxr.runtime.console import run_stage

GROUPS = {
    "Films": add_data_commands,
    "Results": add_result_commands,
    "Experiments": add_experiment_commands,
    "Prediction": add_predict_commands,
    "Publication": add_publish_commands,
    "AWS": add_aws_commands,
    "Repository": add_repo_commands,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command, or list all of them where none is named; raises as `run_command`."""
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    groups = registered(GROUPS)
    if name in ("-h", "--help"):
        print(listing(groups))
    else:
        run_command(groups, name, rest)


if __name__ == "__main__":
    run_stage(main)
