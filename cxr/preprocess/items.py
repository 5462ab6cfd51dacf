"""Which NPZ are made of a cohort, and what they are called."""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cxr.core.errors import CxrError, did_you_mean
from cxr.films.manifest import Record
from cxr.npz.npz_set import SUFFIX, NpzRow
from cxr.preprocess.copies import CORRUPTED, SWAPPED, Copy

NAME_FIELDS = ("patient_id", "image_id", "split")


@dataclass(frozen=True)
class Item:
    """One NPZ to be made: of a film, or of a copy of it."""

    record: Record
    name: str  # of the file
    kind: str = ""  # of the copy; empty for the film itself
    reference: Record | None = None  # of a swapped copy


def copies(records: Sequence[Record]) -> list[Item]:
    """The copies of the validation films: a corrupted one, and one with the acquisition of a training film of another
    class; none of the latter where the training films are of one class.

    That film is the next one by content hash, so that a film that is added later changes few pairs.
    """
    training = sorted((record for record in records if record.split == "train"), key=lambda record: record.film_hash)
    labels = {record.label for record in records}
    others = {label: [other for other in training if other.label != label] for label in labels}
    found: list[Item] = []
    for record in (record for record in records if record.split == "val"):
        found.append(Item(record, f"{CORRUPTED}/{record.image_id}{SUFFIX}", CORRUPTED))
        candidates = others[record.label]
        if candidates:
            place = bisect.bisect(candidates, record.film_hash, key=lambda other: other.film_hash)
            reference = candidates[place % len(candidates)]
            found.append(Item(record, f"{SWAPPED}/{record.image_id}{SUFFIX}", SWAPPED, reference))
    return found


def npz_names(records: Sequence[Record], template: str) -> list[str]:
    """The file name of each film; raises CxrError for an unknown field, a bad path or one name for two films."""
    owners: dict[str, Record] = {}
    for record in records:
        fields = {field: _file_safe(getattr(record, field)) for field in NAME_FIELDS}
        try:
            name = template.format(**fields) + SUFFIX
        except (KeyError, IndexError, ValueError, AttributeError) as error:
            word = str(error.args[0]) if error.args else ""
            raise CxrError(
                f"params.yaml: preprocess.name: {template!r}: unknown field {word!r}; "
                f"fields are {', '.join(NAME_FIELDS)}{did_you_mean(word, NAME_FIELDS)}"
            ) from error
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise CxrError(f"params.yaml: preprocess.name: {template!r} leaves the folder; use a relative name")
        if name in owners:
            raise CxrError(
                f"params.yaml: preprocess.name: {template!r} names both {owners[name].path} and {record.path} "
                f"{name}; add {{image_id}}"
            )
        owners[name] = record
    return list(owners)


def _file_safe(text: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in text)


def index_row(item: Item, classes: tuple[str, ...]) -> NpzRow:
    """The line of the index for one NPZ."""
    record = item.record
    return NpzRow(
        item.name,
        Copy(item.kind).image_id(record.image_id) if item.kind else record.image_id,
        record.patient_id,
        item.kind or record.split,
        record.label,
        classes,
        record.film_hash,
        record.attributes,
    )
