"""The segment stage: the lung masks of a cohort, computed in parallel with the per-film cache."""

import functools
from dataclasses import dataclass
from pathlib import Path

import onnxruntime

from cxr.core.code import code_version
from cxr.core.files import atomic_folder, digest, write_text
from cxr.films.cache import Entry, FilmCache, FilmTask, cache_root, cached_map, spec_key
from cxr.films.manifest import Record, read_manifest, read_recorded
from cxr.films.read import decoder_versions, read_source
from cxr.npz.preparation import SEGMENT_FACTS, SegmentStep, to_json
from cxr.runtime.compute import Compute
from cxr.segment.config import SegmentSection
from cxr.segment.film import segment_film
from cxr.segment.segmenter import LungSegmenter, load_segmenter, model_hash
from cxr.segment.table import MaskRow, write_mask_table


@dataclass(frozen=True)
class Job:
    """The inputs of a worker that are common to all films."""

    settings: SegmentSection
    model: Path
    model_hash: str


def segment_cohort(
    manifest: Path, model: Path, masks: Path, table: Path, settings: SegmentSection, compute: Compute
) -> None:
    """Write `<masks>/<image_id>.png` in the letterbox frame, the facts of this step, and `table`, one row per film.

    Folder and table are replaced as a whole, at the end.

    Raises:
        CxrError: the model, a film or a reference mask is missing or damaged.
    """
    records, _ = read_manifest(manifest)
    load_segmenter(model)  # a missing or broken model stops the run before the work starts
    facts = segment_step(settings, model_hash(model))
    cache = FilmCache(cache_root(), "segment", spec_key([to_json(facts)]))
    work = functools.partial(_segment, Job(settings, model.resolve(), facts.lung_model))
    rows = []
    with atomic_folder(masks) as folder:
        for record, (row, png) in zip(records, cached_map(work, records, cache, compute, "segment"), strict=True):
            (folder / f"{record.image_id}.png").write_bytes(png)  # the folder appears as a whole
            rows.append(MaskRow(record.image_id, record.film_hash, **row))
        write_text(folder / SEGMENT_FACTS, to_json(facts) + "\n")
        write_mask_table(table, rows)


def segment_step(settings: SegmentSection, lung_model: str) -> SegmentStep:
    """Everything that decides the lung mask of a film."""
    return SegmentStep(
        settings=settings.model_dump(),
        code=code_version("cxr.segment.film"),
        versions={**decoder_versions(), "onnxruntime": onnxruntime.__version__},
        resizing="reduced",
        lung_model=lung_model,
    )


def _segment(job: Job, record: Record) -> FilmTask:
    reference = read_source(record.mask_path) if record.mask_path else None
    key = digest(record.film_hash.encode(), reference.content if reference else b"")

    def compute() -> Entry:
        segmenter = _open(job.model, job.model_hash)
        return segment_film(read_recorded(record), reference, segmenter, job.settings)

    return FilmTask(key, compute)


@functools.lru_cache(maxsize=1)
def _open(model: Path, _model_hash: str) -> LungSegmenter:
    """One session per process and model; the hash distinguishes a retrained file with the same name."""
    return load_segmenter(model)
