"""The NPZ set of a cohort, film by film, in parallel, over the per-film cache."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import cxr.films
import cxr.npz
import cxr.preprocess
from cxr.compute.settings import Compute
from cxr.core.code import code_version
from cxr.core.errors import CxrError, did_you_mean
from cxr.core.files import atomic_folder, digest
from cxr.films.letterbox import Image
from cxr.films.manifest import Record, read_manifest
from cxr.films.read import read_film
from cxr.npz.npz_set import INDEX, SUFFIX, NpzFilm, NpzRow, encode_npz, spec_json, write_index
from cxr.parallel.film_cache import Entry, FilmCache, cache_root, spec_key
from cxr.parallel.map_films import map_films
from cxr.preprocess.config import PreprocessSection
from cxr.preprocess.prepare import prepare_film

NAME_FIELDS = ("patient_id", "image_id", "split")


@dataclass(frozen=True)
class Job:
    """What a worker needs to prepare any film of the cohort."""

    settings: PreprocessSection
    classes: tuple[str, ...]
    masks: Path
    out: Path
    cache: FilmCache
    spec: str


def build_npz_set(manifest: Path, masks: Path, out: Path, settings: PreprocessSection, compute: Compute) -> None:
    """Write one NPZ a film of the manifest and the index; `out` is replaced as a whole, at the end.

    Raises:
        CxrError: the name template is unknown or gives two films one name; a film or mask is missing or damaged.
    """
    records, classes = read_manifest(manifest)
    names = npz_names(records, settings.name)
    version = code_version(*(Path(package.__path__[0]) for package in (cxr.films, cxr.npz, cxr.preprocess)))
    spec = spec_json({**settings.model_dump(exclude={"name"}), "code": version, "opencv": cv2.__version__})
    cache = FilmCache(cache_root(), "preprocess", spec_key([spec]))
    with atomic_folder(out) as folder:
        job = Job(settings, tuple(classes), masks, folder, cache, spec)
        work = list(zip(records, names, strict=True))
        reader = job.cache.reader()
        known = functools.partial(_write_film, replace(job, cache=reader)) if reader else None
        for _ in map_films(functools.partial(_write_film, job), work, compute, "preprocess", known):
            pass
        write_index(folder / INDEX, [_row(record, name, job.classes) for record, name in work])


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


def _write_film(job: Job, work: tuple[Record, str]) -> None:
    record, name = work
    mask_path = job.masks / f"{record.image_id}.png"
    try:
        mask_bytes = mask_path.read_bytes()
    except OSError as error:
        raise CxrError(f"{mask_path}: no lung mask of {record.path}; run `dvc repro segment`") from error
    key = digest(
        *(text.encode() for text in (record.film_hash, record.label, *job.classes)),
        record.image_id.encode(),
        record.patient_id.encode(),
        mask_bytes,
    )
    _, npz = job.cache.get_or_compute(key, functools.partial(_prepare, job, record, mask_path, mask_bytes))
    path = job.out / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(npz)  # the folder appears as a whole


def _prepare(job: Job, record: Record, mask_path: Path, mask_bytes: bytes) -> Entry:
    film = read_film(record.path)
    mask = cv2.imdecode(np.frombuffer(mask_bytes, np.uint8), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise CxrError(f"{mask_path}: not a readable mask; run `dvc repro --force segment`")
    height, width = film.grey.shape
    if (width, height) != (record.width, record.height):
        raise CxrError(
            f"{record.path}: {width}x{height}, but {record.width}x{record.height} at ingest; run `dvc repro ingest`"
        )
    image, box = prepare_film(film, _grey(mask), job.settings, record.film_hash)
    npz = NpzFilm(
        image=image,
        label=job.classes.index(record.label),
        image_id=record.image_id,
        patient_id=record.patient_id,
        classes=job.classes,
        film_hash=record.film_hash,
        crop_box=box,
        film_size=(width, height),
        spec=job.spec,
    )
    return {}, encode_npz(npz)


def _grey(mask: Any) -> Image:
    return np.asarray(mask, np.uint8)


def _row(record: Record, name: str, classes: tuple[str, ...]) -> NpzRow:
    return NpzRow(
        name,
        record.image_id,
        record.patient_id,
        record.split,
        record.label,
        classes,
        record.film_hash,
        record.attributes,
    )
