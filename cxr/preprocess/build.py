"""The preprocess stage: one NPZ file per film, two perturbed copies per validation film, the index."""

import bisect
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cxr.core.code import code_version
from cxr.core.errors import CxrError, did_you_mean
from cxr.core.files import atomic_folder, digest
from cxr.films.cache import Entry, FilmCache, FilmTask, cache_root, cached_map, spec_key
from cxr.films.manifest import Record, read_manifest, read_recorded
from cxr.films.read import Source, decoder_versions
from cxr.npz.films import INDEX, SUFFIX, NpzRow, write_index
from cxr.npz.preparation import SEGMENT_FACTS, Preparation, SegmentStep, Step, from_json, to_json
from cxr.preprocess.config import PixelSection, PreprocessSection
from cxr.preprocess.film import npz_of_film
from cxr.preprocess.perturb import CORRUPTED, SWAPPED, Perturbation
from cxr.runtime.compute import Compute

NAME_FIELDS = ("patient_id", "image_id", "split")


@dataclass(frozen=True)
class Item:
    """One NPZ to write: of a film, or of a perturbed copy of it."""

    record: Record
    name: str  # of the file
    kind: str = ""  # of the copy; empty for the film itself
    reference: Record | None = None  # of a swapped copy


def perturbations(records: Sequence[Record]) -> list[Item]:
    """The perturbed copies of the validation films: a corrupted and a swapped copy per film.

    A swapped copy has the acquisition of a training film of another class: the next one by content hash, so that films
    added later change few pairs. There are no swapped copies when the training films are of one class.
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
            raise CxrError(f"params.yaml: preprocess.name: {template!r} is outside the folder; use a relative name")
        if name in owners:
            raise CxrError(
                f"params.yaml: preprocess.name: {template!r} gives {owners[name].path} and {record.path} "
                f"the same name {name}; add {{image_id}}"
            )
        owners[name] = record
    return list(owners)


def _file_safe(text: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in text)


def index_row(item: Item, classes: tuple[str, ...]) -> NpzRow:
    """The row of the index for one NPZ."""
    record = item.record
    return NpzRow(
        item.name,
        Perturbation(item.kind).image_id(record.image_id) if item.kind else record.image_id,
        record.patient_id,
        item.kind or record.split,
        record.label,
        classes,
        record.film_hash,
        record.attributes,
    )


@dataclass(frozen=True)
class Job:
    """The inputs of a worker that are common to all films."""

    settings: PixelSection
    classes: tuple[str, ...]
    masks: Path
    spec: str


def build_npz_set(manifest: Path, masks: Path, out: Path, settings: PreprocessSection, compute: Compute) -> None:
    """Write one NPZ per film, two perturbed copies per validation film as further splits, and the index.

    `out` is replaced as a whole, at the end.

    Raises:
        CxrError: the name template is invalid or gives two films one name; a film or mask is missing or damaged.
    """
    records, names_of_classes = read_manifest(manifest)
    classes = tuple(names_of_classes)
    names = npz_names(records, settings.name)
    pixels = PixelSection(**settings.model_dump(exclude={"name"}))
    spec = to_json(Preparation(segment=_segment_facts(masks), preprocess=preprocess_step(pixels)))
    cache = FilmCache(cache_root(), "preprocess", spec_key([spec]))
    items = [Item(record, name) for record, name in zip(records, names, strict=True)]
    items += perturbations(records)
    work = functools.partial(_prepare, Job(pixels, classes, masks, spec))
    with atomic_folder(out) as folder:
        for item, (_, npz) in zip(items, cached_map(work, items, cache, compute, "preprocess"), strict=True):
            path = folder / item.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(npz)  # the folder appears as a whole
        write_index(folder / INDEX, [index_row(item, classes) for item in items])


def preprocess_step(settings: PixelSection) -> Step:
    """Everything that decides the image made from a film and its lung mask."""
    return Step(
        settings=settings.model_dump(),
        code=code_version("cxr.preprocess.film"),
        versions=decoder_versions(),
        resizing=settings.resizing,
    )


def _segment_facts(masks: Path) -> SegmentStep:
    path = masks / SEGMENT_FACTS
    try:
        return from_json(path.read_bytes(), SegmentStep, str(path))
    except OSError as error:
        raise CxrError(f"{path}: no preparation of the masks; run `dvc repro segment`") from error


def _prepare(job: Job, item: Item) -> FilmTask:
    record, reference = item.record, item.reference
    path = job.masks / f"{record.image_id}.png"
    try:
        mask = Source(str(path), path.read_bytes())
    except OSError as error:
        raise CxrError(f"{path}: no lung mask for {record.path}; run `dvc repro segment`") from error
    of_copy = (item.kind, reference.film_hash if reference else "")
    facts = (record.film_hash, record.label, *job.classes, record.image_id, record.patient_id, *of_copy)
    key = digest(*(text.encode() for text in facts), mask.content)

    def compute() -> Entry:
        copy = Perturbation(item.kind, read_recorded(reference) if reference else None) if item.kind else None
        return {}, npz_of_film(read_recorded(record), mask, record, job.classes, job.settings, job.spec, copy)

    return FilmTask(key, compute)
