"""model.tar.gz, as SageMaker takes it: the bundle's files at its root; equal files give equal bytes."""

import gzip
import io
import tarfile
from pathlib import Path

from cxr.core.files import write_bytes


def write_archive(folder: Path, path: Path) -> None:
    """Pack every file of a folder, in the order of their names, without dates and owners."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=buffer, compresslevel=6, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for file in sorted(one for one in folder.rglob("*") if one.is_file()):
            member = tarfile.TarInfo(file.relative_to(folder).as_posix())
            content = file.read_bytes()
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
    write_bytes(path, buffer.getvalue())
