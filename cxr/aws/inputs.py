"""Inputs of a job as S3 channels: code, wheels, shards."""

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename

from cxr.aws.container.workspace import CHANNELS, WHEELS
from cxr.aws.objects import Item, dvc_hash, file_md5
from cxr.aws.s3 import Store
from cxr.core.config import read_yaml
from cxr.core.errors import CxrError
from cxr.core.files import digest
from cxr.npz.shards import FACTS, TABLE, ShardSet

LOCK = "requirements.txt"
GLIBC_MINOR = 34  # of Amazon Linux 2023
# In addition to the declared code: package folders, the entry point, and modules that change no result.
ALWAYS = (
    "cxr/__init__.py",
    "stages/__init__.py",
    "cxr/aws/__init__.py",
    *(f"cxr/aws/container/{name}.py" for name in ("__init__", "checkpoints", "entry", "workspace")),
    *(f"cxr/runtime/{name}.py" for name in ("__init__", "compute", "console")),
)
WITHOUT_FILE = ("package", "imagenet", "none")  # values of train.weights other than a file
FOLDER = "shards"


@dataclass(frozen=True)
class Wheels:
    """A folder of wheels for the image, and their lock."""

    lock: bytes
    files: tuple[Path, ...]


def read_wheels(folder: Path, python: str) -> Wheels:
    """The wheels of a folder that `make wheels` filled.

    Args:
        folder: wheels, and the lock that they were resolved into.
        python: version of the image's Python, such as 3.12.

    Raises:
        CxrError: there are no wheels, one does not fit the image, or the lock does not match the wheels.
    """
    files = sorted(folder.glob("*.whl"))
    if not files or not (folder / LOCK).is_file():
        raise CxrError(f"{folder}: no wheels there; run `make wheels`, or set sagemaker.wheels: none")
    fitting = _tags(python)
    found = {}
    for path in files:
        name, version, _, tags = parse_wheel_filename(path.name)
        if not tags & fitting:
            raise CxrError(
                f"{path}: does not fit the image's Python {python} on x86-64 Linux; "
                f"run `make wheels IMAGE_PYTHON={python}`"
            )
        found[name] = version
    lock = (folder / LOCK).read_bytes()
    lines = (line.partition("#")[0].strip() for line in lock.decode().splitlines())
    wanted = {canonicalize_name(each.name): each for each in map(Requirement, filter(None, lines))}
    wrong = [name for name, each in wanted.items() if name not in found or found[name] not in each.specifier]
    wrong += [name for name in found if name not in wanted]
    if wrong:
        raise CxrError(f"{folder / LOCK}: does not match the wheels beside it ({wrong[0]}); run `make wheels` again")
    return Wheels(lock, tuple(files))


def _tags(python: str) -> frozenset[Tag]:
    """The wheel tags that the image's pip accepts (PEP 425, PEP 600)."""
    major, minor = (int(part) for part in python.split("."))
    platforms = [f"manylinux_2_{glibc}_x86_64" for glibc in range(GLIBC_MINOR, 4, -1)]
    platforms += ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64"]
    own = cpython_tags((major, minor), platforms=platforms)
    return frozenset([*own, *compatible_tags((major, minor), interpreter=f"cp{major}{minor}", platforms=platforms)])


@dataclass(frozen=True)
class CodeChannel:
    """The objects of the code channel."""

    key: str  # hash of their names and bytes: their address
    identity: str  # hash of all that decides the result; the lock replaces the wheels, whose bytes may differ
    items: tuple[Item, ...]


def plan_code(root: Path, wheels: Wheels | None, weights: str) -> CodeChannel:
    """Collect the code that dvc.yaml declares for `train`, the wheels, and a local weights file.

    Args:
        root: the repository.
        wheels: packages that the image lacks.
        weights: `train.weights`; a path to a file travels with the code.

    Raises:
        CxrError: the weights file is missing or outside of the repository.
    """
    declared = [name for name in read_yaml(root / "dvc.yaml")["stages"]["train"]["deps"] if isinstance(name, str)]
    files: dict[str, Path] = {}
    for name in (name for name in declared if name.split("/")[0] in ("cxr", "stages")):
        found = [root / name] if (root / name).is_file() else sorted((root / name).rglob("*.py"))
        files |= {path.relative_to(root).as_posix(): path for path in found}
    if weights not in WITHOUT_FILE and not weights.startswith("hf://"):
        files[weights] = _weights_file(root, weights)
    deciding = {name: file_md5(path) for name, path in files.items()}
    lock = wheels.lock.decode() if wheels else ""
    files |= {name: root / name for name in ALWAYS}
    files |= {f"{WHEELS}/{path.name}": path for path in (wheels.files if wheels else ())}
    md5s = {name: file_md5(path) for name, path in files.items()}
    key = _key(md5s)
    items = (Item(f"{key}/{name}", files[name], files[name].stat().st_size, md5) for name, md5 in md5s.items())
    return CodeChannel(key, _key({**deciding, f"{WHEELS}/{LOCK}": lock}), tuple(items))


def kept(root: Path, name: str) -> Path:
    """A file or folder that Git may ignore; `dvc exp run --temp` runs in a copy without it and sets DVC_ROOT."""
    here = root / name
    return here if here.exists() else Path(os.environ.get("DVC_ROOT", root)) / name


def _weights_file(root: Path, weights: str) -> Path:
    path = kept(root, weights)
    if not path.is_file():
        raise CxrError(f"train.weights: {weights}: no such file; correct the path, relative to the repository")
    if Path(weights).is_absolute() or ".." in Path(weights).parts:
        raise CxrError(
            f"train.weights: {weights}: cannot travel; put it into the repository and give its relative path"
        )
    return path


def _key(content: dict[str, str]) -> str:
    return digest(*(part.encode() for pair in sorted(content.items()) for part in pair))[:16]


@dataclass(frozen=True)
class ShardChannels:
    """The objects of a set of shards, by their keys."""

    data_md5: str  # MD5 of the folder in dvc.lock, without `.dir`
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
    """Upload missing objects, then the manifests; returns the number of objects sent."""
    sent = store.put_all(channels.items, "upload shards")
    return sent + store.put_all([_manifest(channels, name, store) for name in CHANNELS], "upload manifests")


def manifest_key(data_md5: str, channel: str) -> str:
    """The key of a channel's manifest."""
    return f"{FOLDER}/{data_md5}/{channel}.manifest"


def _manifest(channels: ShardChannels, channel: str, store: Store) -> Item:
    content = json.dumps([{"prefix": store.below(f"{FOLDER}/")}, *channels.manifests[channel]]).encode()
    key = manifest_key(channels.data_md5, channel)
    return Item(key, content, len(content), hashlib.md5(content).hexdigest())


def _item(key: str, path: Path, md5: str) -> Item:
    return Item(key, path, path.stat().st_size, md5)
