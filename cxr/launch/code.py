"""The code that a job runs: exactly what dvc.yaml says that the train stage reaches, and the packages it lacks."""

import os
from dataclasses import dataclass
from pathlib import Path

from cxr.core.config import read_yaml
from cxr.core.errors import CxrError
from cxr.core.files import digest
from cxr.launch.channels import WHEELS
from cxr.launch.store import Item, file_md5

# Beside the declared code: package folders, this side of the container's door, and what no stage declares because it
# changes no result.
ALWAYS = (
    "cxr/__init__.py",
    "stages/__init__.py",
    *(f"cxr/launch/{name}.py" for name in ("__init__", "channels", "entry")),
    *(f"cxr/compute/{name}.py" for name in ("__init__", "settings")),
    *(f"cxr/console/{name}.py" for name in ("__init__", "progress", "stage")),
)
WITHOUT_FILE = ("package", "imagenet", "none")  # values of train.weights that name no file


@dataclass(frozen=True)
class CodeChannel:
    """The objects of the code channel, under the hash of their names and content."""

    key: str
    items: tuple[Item, ...]


def plan_code(root: Path, wheels: str, weights: str) -> CodeChannel:
    """Collect the code that dvc.yaml declares for `train`, wheels, and a local weights file.

    Args:
        root: the repository.
        wheels: folder of wheels below `root`, or `none`.
        weights: `train.weights`; a path to a file travels with the code.

    Raises:
        CxrError: the wheels or the weights cannot travel.
    """
    declared = [name for name in read_yaml(root / "dvc.yaml")["stages"]["train"]["deps"] if isinstance(name, str)]
    files = {name: root / name for name in ALWAYS}
    for name in (name for name in declared if name.split("/")[0] in ("cxr", "stages")):
        found = [root / name] if (root / name).is_file() else sorted((root / name).rglob("*.py"))
        files |= {path.relative_to(root).as_posix(): path for path in found}
    if wheels != "none":
        found = sorted(_kept(root, wheels).glob("*.whl"))
        if not found:
            raise CxrError(f"{wheels}: no wheels there; run `make wheels`, or set sagemaker.wheels: none")
        files |= {f"{WHEELS}/{path.name}": path for path in found}
    if weights not in WITHOUT_FILE and not weights.startswith("hf://"):
        path = _kept(root, weights)
        if not path.is_file():
            raise CxrError(f"train.weights: {weights}: no such file; correct the path, relative to the repository")
        if Path(weights).is_absolute() or ".." in Path(weights).parts:
            raise CxrError(
                f"train.weights: {weights}: cannot travel; put it into the repository and give its relative path"
            )
        files[weights] = path
    md5s = {name: file_md5(path) for name, path in sorted(files.items())}
    key = digest(*(part.encode() for pair in md5s.items() for part in pair))[:16]
    items = (Item(f"{key}/{name}", files[name], files[name].stat().st_size, md5) for name, md5 in md5s.items())
    return CodeChannel(key, tuple(items))


def _kept(root: Path, name: str) -> Path:
    """A file or folder that Git may ignore: `dvc exp run --temp` works in a copy without it, and sets DVC_ROOT."""
    here = root / name
    return here if here.exists() else Path(os.environ.get("DVC_ROOT", root)) / name
