"""Progress of long loops: a bar in a terminal, one line every few seconds in a log."""

import io
import logging
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
log = logging.getLogger(__name__)
LOG_SECONDS = 5.0


class _LogLines(io.StringIO):
    """A text stream that sends each refresh of a bar to the log as one line."""

    def write(self, text: str) -> int:
        line = text.strip()
        if line:
            log.info(line)
        return len(text)


def progress(items: Iterable[T], total: int, description: str, unit: str = "film") -> Iterator[T]:
    """Yield the items while showing count, rate and time left."""
    if sys.stderr.isatty():
        yield from tqdm(items, total=total, desc=description, unit=unit)
        return
    yield from tqdm(
        items,
        total=total,
        desc=description,
        unit=unit,
        file=_LogLines(),
        mininterval=LOG_SECONDS,
        miniters=1,
        ascii=True,
        bar_format="{desc}: {n_fmt}/{total_fmt} {unit}s, {rate_fmt}, {remaining} left",
    )
