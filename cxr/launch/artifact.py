"""Unpack a job's model.tar.gz: the outs that were asked for, and nothing outside their folder."""

import shutil
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

from cxr.core.errors import CxrError


def unpack_outs(archive: Path, outs: list[Path], root: Path = Path()) -> None:
    """Put the outs of the train stage in place: all of them or, when the archive is not as it should be, none.

    Args:
        archive: model.tar.gz, whose members are named relative to `models/`.
        outs: files and folders below `models/` to take.
        root: the repository.

    Raises:
        CxrError: the archive is broken, a member leads out of the folder or is no plain file, or an out is missing.
    """
    with tempfile.TemporaryDirectory(dir=archive.parent) as name:
        folder = Path(name)
        try:
            with tarfile.open(archive, "r:gz") as tar:
                for member in tar.getmembers():
                    _check(member, archive)
                tar.extractall(folder, filter="data")
        except (tarfile.TarError, EOFError, OSError) as error:
            raise CxrError(
                f"{archive.name}: cannot be unpacked ({error}); delete it from the bucket and run again"
            ) from error
        sources = {out: folder / out.relative_to("models") for out in outs}
        for out, source in sources.items():
            if not source.exists():
                raise CxrError(f"{archive.name}: {out} is missing; the job ended without it, see its log")
        for out, source in sources.items():
            target = root / out
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_dir():
                shutil.rmtree(target)
            shutil.move(source, target)


def _check(member: tarfile.TarInfo, archive: Path) -> None:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise CxrError(f"{archive.name}: member {member.name!r} leads out of the folder; the archive is refused")
    if not (member.isfile() or member.isdir()):
        raise CxrError(f"{archive.name}: member {member.name!r} is no plain file; the archive is refused")
