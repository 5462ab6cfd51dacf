"""The one exception type that a user is meant to read."""

import difflib
from collections.abc import Iterable


class CxrError(Exception):
    """A fault that the user can correct. The message is one line: what, where, what to do."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint such as `; did you mean 'train'?`, or an empty string when nothing is near."""
    near = difflib.get_close_matches(word, list(dict.fromkeys(known)), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
