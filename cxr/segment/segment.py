"""The lung masks of a cohort, film by film, in parallel, over the per-film cache."""

import functools
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

import cxr.films
import cxr.segment
from cxr.compute.settings import Compute
from cxr.core.code import code_version
from cxr.core.errors import CxrError
from cxr.core.files import atomic_folder, digest
from cxr.films.letterbox import Image, Letterbox
from cxr.films.manifest import Record, read_manifest
from cxr.films.read import read_bytes, read_film, read_reduced
from cxr.parallel.film_cache import Entry, FilmCache, cache_root, spec_key
from cxr.parallel.map_films import map_films
from cxr.segment.clean import find_lungs
from cxr.segment.config import SegmentSection
from cxr.segment.mask_table import MaskRow, write_mask_table
from cxr.segment.scores import mask_scores
from cxr.segment.segmenter import LungSegmenter, load_segmenter, model_hash


@dataclass(frozen=True)
class Job:
    """What a worker needs to segment any film of the cohort."""

    settings: SegmentSection
    model: Path
    model_hash: str
    out: Path
    cache: FilmCache


def segment_cohort(
    manifest: Path, model: Path, masks: Path, table: Path, settings: SegmentSection, compute: Compute
) -> None:
    """Write `<masks>/<image_id>.png` in the letterbox frame and one row a film in `table`.

    Both are replaced as a whole, at the end.

    Raises:
        CxrError: the model, a film or a reference mask is missing or damaged.
    """
    records, _ = read_manifest(manifest)
    load_segmenter(model)  # a missing or broken model is told before the work starts
    hash_ = model_hash(model)
    version = code_version(*(Path(package.__path__[0]) for package in (cxr.films, cxr.segment)))
    spec = spec_key([settings.model_dump_json(), version, hash_, cv2.__version__, onnxruntime.__version__])
    with atomic_folder(masks) as folder:
        job = Job(settings, model.resolve(), hash_, folder, FilmCache(cache_root(), "segment", spec))
        reader = job.cache.reader()
        known = functools.partial(_segment, replace(job, cache=reader)) if reader else None
        rows = list(map_films(functools.partial(_segment, job), records, compute, "segment", known))
        write_mask_table(table, rows)


def _segment(job: Job, record: Record) -> MaskRow:
    reference = read_bytes(record.mask_path) if record.mask_path else b""
    key = digest(record.film_hash.encode(), reference)
    facts, png = job.cache.get_or_compute(key, functools.partial(segment_film, job, record, reference))
    (job.out / f"{record.image_id}.png").write_bytes(png)  # the folder appears as a whole
    return MaskRow(record.image_id, record.film_hash, **facts)


def segment_film(job: Job, record: Record, reference: bytes) -> Entry:
    """The facts of a film's mask and the mask itself as PNG."""
    content = read_bytes(record.path)
    if digest(content) != record.film_hash:
        raise CxrError(f"{record.path}: not the film that ingest saw; run `dvc repro ingest` again")
    segmenter = _open(job.model, job.model_hash)
    box = Letterbox(record.width, record.height, segmenter.frame_px)
    if job.settings.seg_on_gray:
        pixels = read_reduced(record.path, content, record.width, record.height, segmenter.frame_px)
    else:
        film = read_film(record.path, content)
        pixels = film.grey if film.colour is None else film.colour
    lungs = find_lungs(segmenter.probability(box.to_frame(pixels)), box.inner, job.settings)
    facts: dict[str, object] = {
        "area": lungs.area,
        "right_area": lungs.right_area,
        "left_area": lungs.left_area,
        "fallback": int(bool(lungs.reason)),
        "reason": lungs.reason,
    }
    if reference:
        true = box.mask_to_frame(_decode(record.mask_path, reference))
        facts |= mask_scores(lungs.mask, true)._asdict()
    ok, png = cv2.imencode(".png", lungs.mask)
    assert ok
    return facts, png.tobytes()


@functools.lru_cache(maxsize=1)
def _open(model: Path, _model_hash: str) -> LungSegmenter:
    """One session a process and model; the hash tells a retrained file of the same name apart."""
    return load_segmenter(model)


def _decode(address: str, content: bytes) -> Image:
    mask = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise CxrError(f"{address}: reference mask cannot be decoded; replace it or set data.masks_dir: none")
    return np.asarray(mask, np.uint8)
