"""The shards as SageMaker channels: objects named by their content, and a manifest for each channel.

`shards/<content>.npy` holds what any version of the data shares, so that one changed film sends one shard. A manifest
(S3DataType ManifestFile) lists what a channel downloads.
"""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cxr.launch.channels import CHANNELS
from cxr.launch.items import Item, dvc_hash, file_md5
from cxr.launch.store import Store
from cxr.shards.shard_set import FACTS, TABLE, ShardSet

FOLDER = "shards"


@dataclass(frozen=True)
class ShardChannels:
    """The objects of a set of shards, by their keys."""

    data_md5: str  # of the folder, as dvc.lock has it, without `.dir`
    items: tuple[Item, ...]
    manifests: dict[str, list[str]]  # channel -> keys that it downloads

    @property
    def size(self) -> int:
        """Bytes that a job downloads."""
        return sum(item.size for item in self.items)


def plan_channels(shards: ShardSet) -> ShardChannels:
    """Lay out a set of shards, under keys of its own for its table and its facts."""
    there = set(shards.table["split"])
    channels = {
        channel: [name for split in splits if split in there for name in shards.shards(split)]
        for channel, splits in CHANNELS.items()
    }
    names = sorted({name for found in channels.values() for name in found} | {TABLE, FACTS})
    with ThreadPoolExecutor() as pool:
        md5s = dict(zip(names, pool.map(lambda name: file_md5(shards.folder / name), names), strict=True))
    data_md5 = dvc_hash(md5s)
    keys = {name: f"{data_md5}/{name}" if name in (TABLE, FACTS) else name for name in names}
    items = [_item(f"{FOLDER}/{keys[name]}", shards.folder / name, md5s[name]) for name in names]
    manifests = {channel: [*found, keys[TABLE], keys[FACTS]] for channel, found in channels.items()}
    return ShardChannels(data_md5, tuple(items), manifests)


def publish_channels(channels: ShardChannels, store: Store) -> int:
    """Upload what the store lacks, then the manifests; returns the number of objects sent."""
    sent = store.put_all(channels.items, "upload shards")
    return sent + store.put_all([_manifest(channels, name, store) for name in CHANNELS], "upload manifests")


def manifest_key(data_md5: str, channel: str) -> str:
    """Where the manifest of a channel lies."""
    return f"{FOLDER}/{data_md5}/{channel}.manifest"


def _manifest(channels: ShardChannels, channel: str, store: Store) -> Item:
    content = json.dumps([{"prefix": store.below(f"{FOLDER}/")}, *channels.manifests[channel]]).encode()
    key = manifest_key(channels.data_md5, channel)
    return Item(key, content, len(content), hashlib.md5(content).hexdigest())


def _item(key: str, path: Path, md5: str) -> Item:
    return Item(key, path, path.stat().st_size, md5)
