"""Packing of an NPZ set into shards: the same set gives the same files; one changed film changes one shard."""

import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from cxr.core.errors import CxrError
from cxr.core.files import atomic_folder, digest, write_bytes, write_csv, write_json
from cxr.npz.films import NpzFilm, NpzRow, read_index, read_npz
from cxr.npz.shards import COLUMNS, FACTS, TABLE
from cxr.runtime.console import progress

Member = tuple[Path, NpzRow]

SHARD_BYTES = 150_000_000


def build_shards(npz: Path, folder: Path, shard_bytes: int = SHARD_BYTES) -> int:
    """Write the shards of the NPZ set in `npz`; returns their number.

    Args:
        npz: folder of the NPZ set.
        folder: replaced as a whole.
        shard_bytes: largest size of a shard, approximately; with enough films, shards have at least half of it.

    Raises:
        CxrError: a film cannot be read, or its preparation differs from the others'.
    """
    rows = read_index(npz)
    first = read_npz(npz / rows[0].file)
    with atomic_folder(folder) as temporary:
        tables = _write_all(rows, npz, temporary, first, shard_bytes, lean=True)
        if tables is None:
            for path in temporary.iterdir():
                path.unlink()
            tables = _write_all(rows, npz, temporary, first, shard_bytes, lean=False) or []
        table = pd.concat(tables).set_index("image_id").loc[[row.image_id for row in rows]].reset_index()
        write_csv(temporary / TABLE, table[list(COLUMNS)])
        facts = {"classes": first.classes, "image_px": first.image.shape[0], "spec": first.spec}
        write_json(temporary / FACTS, facts)
    return len(tables)


def _write_all(
    rows: Sequence[NpzRow], npz: Path, folder: Path, first: NpzFilm, shard_bytes: int, lean: bool
) -> list[pd.DataFrame] | None:
    """One table per shard; None if films are not grey, so that the whole set has to be stored with all channels.

    All threads end before this returns: one that still wrote would meet an emptied folder.
    """
    film_bytes = first.image[..., 0].size * (2 if lean else 4)
    jobs = [
        (split, members)
        for split in sorted({row.split for row in rows})
        for members in _shares([(npz / row.file, row) for row in rows if row.split == split], film_bytes, shard_bytes)
    ]
    # Threads, because disk reads and zlib release the interpreter lock.
    work = Parallel(n_jobs=min(4, os.cpu_count() or 1), prefer="threads", return_as="generator")
    tables = work(delayed(_write)(folder, *job, first, lean) for job in jobs)
    written = list(progress(tables, len(jobs), "shard", unit="shard"))
    complete = [table for table in written if table is not None]
    return complete if len(complete) == len(written) else None


def _shares(members: list[Member], film_bytes: int, shard_bytes: int) -> Iterable[list[Member]]:
    """Films by shard, assigned by the hash of their ids. The number of shards is a power of two: growth splits them."""
    count = 1
    while len(members) * film_bytes > count * shard_bytes:
        count *= 2
    shares: list[list[Member]] = [[] for _ in range(count)]
    for member in sorted(members, key=lambda member: member[1].image_id):
        shares[int(digest(member[1].image_id.encode()), 16) % count].append(member)
    return filter(None, shares)


def _write(folder: Path, split: str, members: list[Member], first: NpzFilm, lean: bool) -> pd.DataFrame | None:
    """The table of one shard; None if a film has different colour channels and `lean` stores one of them."""
    side = first.image.shape[0]
    images = np.empty((len(members), 2 if lean else 4, side, side), np.uint8)
    labels = []
    for place, (path, _) in enumerate(members):
        film = read_npz(path)
        _check_alike(film, first, path)
        labels.append(film.label)
        if lean and not (film.image[..., :1] == film.image[..., 1:3]).all():
            return None
        images[place] = film.image.transpose(2, 0, 1)[[0, 3]] if lean else film.image.transpose(2, 0, 1)
    stream = io.BytesIO()
    np.lib.format.write_array(stream, images, allow_pickle=False)
    content = stream.getvalue()
    name = f"{digest(content)}.npy"
    write_bytes(folder / name, content, durable=False)
    facts = [
        (split, name, place, row.image_id, row.patient_id, label, row.film_hash)
        for place, ((_, row), label) in enumerate(zip(members, labels, strict=True))
    ]
    return pd.DataFrame(facts, columns=list(COLUMNS))


def _check_alike(film: NpzFilm, first: NpzFilm, path: Path) -> None:
    for fact in ("classes", "spec"):
        if getattr(film, fact) != getattr(first, fact):
            raise CxrError(f"{path}: {fact} differs from the other films'; run `dvc repro --force preprocess`")
    if film.image.shape != first.image.shape:
        raise CxrError(
            f"{path}: shape {film.image.shape}, other films {first.image.shape}; run `dvc repro --force preprocess`"
        )
