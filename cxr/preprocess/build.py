"""The NPZ set of a cohort, film by film, in parallel, over the per-film cache."""

import functools
from dataclasses import dataclass
from pathlib import Path

from cxr.compute.settings import Compute
from cxr.core.code import code_version
from cxr.core.errors import CxrError
from cxr.core.files import digest
from cxr.core.folders import atomic_folder
from cxr.films.decoders import decoder_versions
from cxr.films.manifest import read_manifest, read_recorded
from cxr.films.read import Source
from cxr.npz.npz_set import INDEX, write_index
from cxr.npz.preparation import SEGMENT_FACTS, Preparation, SegmentStep, Step, from_json, to_json
from cxr.parallel.film_cache import Entry, FilmCache, cache_root, spec_key
from cxr.parallel.map_cached import Work, map_cached
from cxr.preprocess.config import PixelSection, PreprocessSection
from cxr.preprocess.copies import Copy
from cxr.preprocess.film import npz_of_film
from cxr.preprocess.items import Item, copies, index_row, npz_names


@dataclass(frozen=True)
class Job:
    """What a worker needs to prepare any film of the cohort."""

    settings: PixelSection
    classes: tuple[str, ...]
    masks: Path
    spec: str


def build_npz_set(manifest: Path, masks: Path, out: Path, settings: PreprocessSection, compute: Compute) -> None:
    """Write one NPZ for each film of the manifest, two copies of each validation film (`cxr.preprocess.copies`) as
    splits of their own, and the index; `out` is replaced as a whole, at the end.

    Raises:
        CxrError: the name template is unknown or gives two films one name; a film or mask is missing or damaged.
    """
    records, names_of_classes = read_manifest(manifest)
    classes = tuple(names_of_classes)
    names = npz_names(records, settings.name)
    pixels = PixelSection(**settings.model_dump(exclude={"name"}))
    spec = to_json(Preparation(segment=_segment_facts(masks), preprocess=preprocess_step(pixels)))
    cache = FilmCache(cache_root(), "preprocess", spec_key([spec]))
    items = [Item(record, name) for record, name in zip(records, names, strict=True)]
    items += copies(records)
    work = functools.partial(_prepare, Job(pixels, classes, masks, spec))
    with atomic_folder(out) as folder:
        for item, (_, npz) in zip(items, map_cached(work, items, cache, compute, "preprocess"), strict=True):
            path = folder / item.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(npz)  # the folder appears as a whole
        write_index(folder / INDEX, [index_row(item, classes) for item in items])


def preprocess_step(settings: PixelSection) -> Step:
    """Whatever decides the image that is made of a film and its lung mask."""
    return Step(settings=settings.model_dump(), code=code_version("cxr.preprocess.film"), versions=decoder_versions())


def _segment_facts(masks: Path) -> SegmentStep:
    path = masks / SEGMENT_FACTS
    try:
        return from_json(path.read_bytes(), SegmentStep, str(path))
    except OSError as error:
        raise CxrError(f"{path}: no facts of how the masks were found; run `dvc repro segment`") from error


def _prepare(job: Job, item: Item) -> Work:
    record, reference = item.record, item.reference
    path = job.masks / f"{record.image_id}.png"
    try:
        mask = Source(str(path), path.read_bytes())
    except OSError as error:
        raise CxrError(f"{path}: no lung mask of {record.path}; run `dvc repro segment`") from error
    of_copy = (item.kind, reference.film_hash if reference else "")
    facts = (record.film_hash, record.label, *job.classes, record.image_id, record.patient_id, *of_copy)
    key = digest(*(text.encode() for text in facts), mask.content)

    def compute() -> Entry:
        copy = Copy(item.kind, read_recorded(reference) if reference else None) if item.kind else None
        return {}, npz_of_film(read_recorded(record), mask, record, job.classes, job.settings, job.spec, copy)

    return Work(key, compute)
