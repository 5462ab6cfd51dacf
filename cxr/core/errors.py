"""The exception type whose message is shown to the user."""

import difflib
from collections.abc import Iterable


class CxrError(Exception):
    """An error that the user can correct. The message names place, problem and remedy, one line per error."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint such as `; did you mean 'train'?`, or an empty string when no known word is similar."""
    near = difflib.get_close_matches(word, list(dict.fromkeys(known)), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
