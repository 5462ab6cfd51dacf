"""Labels of films: the class that a text means."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from cxr.core.errors import did_you_mean
from cxr.ingest.config import EXCLUDE, DataSection
from cxr.ingest.findings import SHOWN, Finding, error, warning
from cxr.ingest.table import nfc

BLANK = {"", "nan", "na", "n/a", "null", "none", "<na>", "-"}  # a missing value, as pandas, R and people write it
SEPARATORS = "|;,"  # of the findings in one label
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


def list_separator(labels: Iterable[str], classes: Sequence[str]) -> str:
    """The separator of labels that are lists of findings; empty where they are single.

    A third of them has it, or one of them consists of parts that are classes or labels of their own.
    """
    texts = {label.strip("[]") for label in labels}
    known = {_finding(text) for text in (*texts, *classes)}
    for separator in SEPARATORS:
        lists = [text for text in texts if separator in text]
        parts = {_finding(part) for text in lists for part in text.split(separator)}
        if len(lists) > len(texts) / 3 or parts & known:
            return separator
    return ""


class LabelReader:
    """The class of each label by `data.classes`, `label_map` and `label_rules`; collects those that have none."""

    def __init__(self, settings: DataSection) -> None:
        self.settings = settings
        names = [*settings.classes, EXCLUDE]
        self.mapped = {_key(raw): class_of(name, names) for raw, name in settings.label_map.items()}
        self.rules = [(rule.column, _value(rule.value), class_of(rule.label, names)) for rule in settings.label_rules]
        self.unknown: Counter[str] = Counter()
        self.excluded: Counter[str] = Counter()
        self.places: defaultdict[str, list[str]] = defaultdict(list)

    def read(self, raw: str, where: str) -> str | None:
        """The class, or `exclude`; None for an unknown label, which is kept with its place for `findings`."""
        return self.read_row(raw, where, {})[0]

    def read_row(self, raw: str, where: str, row: Mapping[str, str]) -> tuple[str | None, int]:
        """The class of a row, `exclude` or None as in `read`, and the place of its rule; without one the last place.

        Args:
            raw: the label; several findings may be written as a list of Python or JSON.
            where: the line or the file.
            row: values by column, for the rules that name one.
        """
        separator = self.settings.label_separator
        found = raw.strip("[]").split(separator) if separator != "none" else [raw]
        values = {_value(finding.strip(" '\"")) for finding in found}
        for place, (column, value, name) in enumerate(self.rules):
            given = {_value(row.get(column, ""))} if column else values
            if value == "*" or value in given:
                if name == EXCLUDE:
                    self.excluded[f"{column}: {row.get(column, '')}" if column else raw] += 1
                return name, place
        name = self.mapped.get(_key(raw)) or class_of(raw, self.settings.classes)
        if name == EXCLUDE:
            self.excluded[raw] += 1
        if name is None:
            self.unknown[raw] += 1
            self.places[raw].append(where)
        return name, len(self.rules)

    def findings(self, where: str) -> list[Finding]:
        """One error with all unknown labels of a table, and a warning with those that are left out."""
        found = self.left_out(where)
        if not self.unknown:
            return found
        places = [self.places[label][0] for label, _ in self.unknown.most_common()]
        labels = [label for label in self.unknown if _key(label) != "blank"]
        remedies = []
        if len(labels) < len(self.unknown):
            remedies.append("fill the blank ones, or leave them out with data.label_map: {blank: exclude}")
        separator = list_separator(labels, self.settings.classes)
        if separator:
            remedies.append(
                f"these are lists of findings: set data.label_separator: '{separator}' and one data.label_rules entry "
                "per finding (value, label), the last with value '*' and label exclude"
            )
        elif labels:
            remedies.append(
                "correct the labels, or set data.label_map to a class or to exclude for each; add it to data.classes "
                "only if it is a class of its own"
            )
        problem = f"{where}: {unknown_labels(self.unknown, self.settings.classes)}"
        return [*found, error(problem, "; ".join(remedies), places)]

    def left_out(self, where: str) -> list[Finding]:
        """A warning with the labels that are left out, or none."""
        if not self.excluded:
            return []
        listed = ", ".join(f"{label!r} ({count})" for label, count in self.excluded.most_common(SHOWN))
        more = f" and {len(self.excluded) - SHOWN} other labels" if len(self.excluded) > SHOWN else ""
        problem = f"{where}: {self.excluded.total()} films or rows are left out by label: {listed}{more}"
        return [warning(problem, "correct exclude in data.label_map and data.label_rules if you need them")]


def _finding(text: str) -> str:
    return nfc(text).strip(" '\"").casefold()


def _key(label: str) -> str:
    key = nfc(label).casefold()
    return "blank" if key in BLANK else key


def _value(text: str) -> str:
    """A value for comparison: numbers by their size, so that 1 is 1.0."""
    value = nfc(text).casefold()
    try:
        return f"{float(value):g}"
    except ValueError:
        return value
