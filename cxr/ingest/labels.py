"""Labels of films: the class that a text means."""

from collections import Counter
from collections.abc import Sequence

from cxr.core.errors import did_you_mean
from cxr.ingest.table import nfc

BLANK = {"", "nan", "na", "n/a", "null", "none", "<na>", "-"}  # a missing value, as pandas, R and people write it
MOST = 40  # unknown labels listed in a message
TRUTH = {"false": 0, "true": 1}


def class_of(raw: str, classes: Sequence[str]) -> str | None:
    """The class that a label names, in any case or by its index (1, 1.0; True and False for two classes), or None."""
    text = nfc(raw).casefold()
    for name in classes:
        if text == nfc(name).casefold():
            return name
    place = TRUTH.get(text, -1) if len(classes) == 2 else -1
    try:
        number = float(text)
    except ValueError:
        number = place
    return classes[int(number)] if number in range(len(classes)) else None


def unknown_labels(found: Counter[str], classes: Sequence[str]) -> str:
    """The problem with labels that are no class: each with its count, the most frequent first."""
    blank = sum(count for label, count in found.items() if label.casefold() in BLANK)
    named = [(label, count) for label, count in found.most_common() if label.casefold() not in BLANK]
    parts = []
    if named:
        listed = ", ".join(f"{label!r} ({count})" for label, count in named[:MOST])
        more = f" and {len(named) - MOST} other labels" if len(named) > MOST else ""
        near = did_you_mean(named[0][0], classes) if len(named) == 1 else ""
        parts.append(f"unknown label{'s' if len(named) > 1 else ''} {listed}{more}{near}")
    if blank:
        parts.append(f"no label in {blank} row{'s' if blank > 1 else ''}")
    return f"{'; '.join(parts)} (classes: {', '.join(classes)})"
