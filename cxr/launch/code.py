"""The code that a job runs: exactly what dvc.yaml says that the train stage reaches, and the packages it lacks."""

import os
from dataclasses import dataclass
from pathlib import Path

from cxr.core.config import read_yaml
from cxr.core.errors import CxrError
from cxr.core.files import digest
from cxr.launch.channels import WHEELS
from cxr.launch.items import Item, file_md5
from cxr.launch.wheels import LOCK, Wheels

# Beside the declared code: package folders, the entry point, and what no stage declares because it changes no result.
ALWAYS = (
    "cxr/__init__.py",
    "stages/__init__.py",
    *(f"cxr/launch/{name}.py" for name in ("__init__", "channels", "checkpoints", "entry", "workspace")),
    *(f"cxr/compute/{name}.py" for name in ("__init__", "settings")),
    *(f"cxr/console/{name}.py" for name in ("__init__", "progress", "stage")),
)
WITHOUT_FILE = ("package", "imagenet", "none")  # values of train.weights that name no file


@dataclass(frozen=True)
class CodeChannel:
    """The objects of the code channel."""

    key: str  # hash of their names and bytes: their address
    identity: str  # hash of what of them decides the result; the lock stands for the wheels, whose bytes may differ
    items: tuple[Item, ...]


def plan_code(root: Path, wheels: Wheels | None, weights: str) -> CodeChannel:
    """Collect the code that dvc.yaml declares for `train`, the wheels, and a local weights file.

    Args:
        root: the repository.
        wheels: packages that the image lacks.
        weights: `train.weights`; a path to a file travels with the code.

    Raises:
        CxrError: the weights cannot travel.
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
    """A file or folder that Git may ignore: `dvc exp run --temp` works in a copy without it, and sets DVC_ROOT."""
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
