"""An NPZ set on S3: `<data md5>/{train,val,test}/`, each with the index of the whole set.

The address is DVC's hash of the folder, so the key under which films are stored is the one that dvc.lock records.
The upload sends objects, then the manifest, then the completion marker, so a set with a marker is complete.
"""

import csv
import hashlib
import io
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cxr.aws.container.workspace import INDEX, SPLITS
from cxr.aws.objects import Item, dvc_hash, file_md5
from cxr.aws.s3 import Store
from cxr.core.errors import CxrError
from cxr.npz.films import read_index

MANIFEST = "manifest.csv"
MARKER = "COMPLETE"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NpzChannels:
    """The objects of an NPZ set, under the hash of its content."""

    data_md5: str  # MD5 in dvc.lock, without `.dir`
    items: tuple[Item, ...]


def plan_channels(folder: Path) -> NpzChannels:
    """Hash the NPZ set in `folder` and lay it out by split; raises CxrError if index and files differ."""
    rows = read_index(folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    with ThreadPoolExecutor() as pool:
        md5s = dict(zip(files, pool.map(file_md5, files), strict=True))
    items: dict[str, Item] = {}
    for row in rows:
        path = folder / row.file
        if path not in md5s:
            raise CxrError(f"{path}: named in {folder / INDEX} but missing; run `dvc repro preprocess`")
        if row.split not in SPLITS:
            raise CxrError(f"{folder / INDEX}: split {row.split!r} of {row.file} is none of {', '.join(SPLITS)}")
        key = _key(row.split, row.file)
        if key in items:
            raise CxrError(f"{folder / INDEX}: {items[key].content!s} and {path} would share the key {key}")
        items[key] = Item(key, path, path.stat().st_size, md5s[path])
    laid_out = _laid_out(folder / INDEX)
    indexes = {INDEX: (folder / INDEX).read_bytes(), **{f"{split}/{INDEX}": laid_out for split in SPLITS}}
    for key, content in indexes.items():
        items[key] = Item(key, content, len(content), hashlib.md5(content).hexdigest())
    data_md5 = dvc_hash({path.relative_to(folder).as_posix(): md5 for path, md5 in md5s.items()})
    placed = (Item(f"{data_md5}/{key}", item.content, item.size, item.md5) for key, item in items.items())
    return NpzChannels(data_md5, tuple(placed))


def publish_channels(channels: NpzChannels, store: Store) -> int:
    """Upload missing objects; returns the number of objects sent, 0 if the completion marker exists."""
    marker = f"{channels.data_md5}/{MARKER}"
    if store.exists(marker):
        log.info("%s is complete already; nothing to upload", store.below(f"{channels.data_md5}/"))
        return 0
    lines = [f"{item.md5},{item.size},{item.key.split('/', 1)[1]}\n" for item in channels.items]
    manifest = ("md5,bytes,key\n" + "".join(lines)).encode()
    sent = store.put_all(channels.items, "publish")
    facts = {"objects": len(channels.items), "bytes": sum(item.size for item in channels.items)}
    last = ((MANIFEST, manifest), (MARKER, json.dumps({**facts, "manifest_md5": _hex(manifest)}).encode() + b"\n"))
    for name, content in last:
        store.put(Item(f"{channels.data_md5}/{name}", content, len(content), _hex(content)))
    return sent + len(last)


def fetch_channels(store: Store, folder: Path) -> int:
    """Download a published NPZ set into `folder`; returns the number of films downloaded."""
    if not store.exists(MARKER):
        raise CxrError(
            f"{store.url}: no complete NPZ set ({MARKER} is missing); publish it again, or correct the address"
        )
    manifest = store.read(MANIFEST)
    if _hex(manifest) != json.loads(store.read(MARKER))["manifest_md5"]:
        raise CxrError(f"{store.below(MANIFEST)}: its content is not what {MARKER} says; publish the set again")
    md5s = {key: md5 for md5, _, key in (line.split(",", 2) for line in manifest.decode().splitlines()[1:])}
    store.fetch(INDEX, folder / INDEX, md5s[INDEX])
    wanted = {}
    for row in read_index(folder):
        path = folder / row.file
        if not path.resolve().is_relative_to(folder.resolve()):
            raise CxrError(f"{store.below(INDEX)}: {row.file} leads out of {folder}; refused")
        key = _key(row.split, row.file)
        if key not in md5s:
            raise CxrError(f"{store.below(MANIFEST)}: does not list {key}; publish the set again")
        wanted[key] = path, md5s[key]
    return store.fetch_all(wanted, "fetch")


def _key(split: str, file: str) -> str:
    """The key of a file: `train/a.npz` is kept, and a file of another layout goes below its split."""
    return file if file.startswith(f"{split}/") else f"{split}/{file}"


def _laid_out(path: Path) -> bytes:
    """The index with each file under its key; unchanged bytes if the set is laid out by split."""
    content = path.read_bytes()
    reader = csv.DictReader(io.StringIO(content.decode(), newline=""))
    rows = list(reader)
    if all(row["file"] == _key(row["split"], row["file"]) for row in rows):
        return content
    text = io.StringIO()
    writer = csv.DictWriter(text, list(reader.fieldnames or []), lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "file": _key(row["split"], row["file"])} for row in rows)
    return text.getvalue().encode()


def _hex(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()
