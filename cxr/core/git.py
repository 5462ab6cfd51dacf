"""Which commit is checked out."""

import subprocess


def git_revision() -> str:
    """The commit checked out, with `-dirty` when files differ from it; `unknown` outside a repository."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
