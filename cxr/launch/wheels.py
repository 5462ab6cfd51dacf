"""The packages that a training image lacks, as wheels: checked against their lock and against the image's Python."""

from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename

from cxr.core.errors import CxrError

LOCK = "requirements.txt"
GLIBC_MINOR = 34  # of Amazon Linux 2023


@dataclass(frozen=True)
class Wheels:
    """A folder of wheels that fit the image, and the lock that names them."""

    lock: bytes
    files: tuple[Path, ...]


def read_wheels(folder: Path, python: str) -> Wheels:
    """The wheels of a folder that `make wheels` filled.

    Args:
        folder: wheels, and the lock that they were resolved into.
        python: version of the image's Python, such as 3.12.

    Raises:
        CxrError: there are none, one does not fit the image, or lock and wheels disagree.
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
