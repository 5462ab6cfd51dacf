"""The files of a bundle, their checksums, and the archive of them."""

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

from cxr.core.errors import CxrError
from cxr.core.files import write_bytes, write_text

CONFIG = "inference_config.yaml"
CLASSIFIER = "classifier.onnx"
SCRIPT = "classifier.torchscript.pt"
SEGMENTER = "lung_segmenter.onnx"
REFERENCE = "reference.npz"
CARD = "model_card.md"
PROVENANCE = "provenance.json"
SBOM = "sbom.cdx.json"
LICENCES = "licences"
SUMS = "SHA256SUMS"


def write_sums(folder: Path) -> None:
    """Write SHA256SUMS of every file in the folder, in the form that `sha256sum --check` reads."""
    lines = [f"{_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in _files(folder)]
    write_text(folder / SUMS, "".join(lines))


def verify_sums(folder: Path) -> str:
    """Check every file of a bundle against SHA256SUMS; returns the hash of the bundle, 64 hex digits.

    Raises:
        CxrError: the folder is not a bundle, or a file is missing, altered or not listed.
    """
    try:
        content = (folder / SUMS).read_bytes()
        rows = [line.split("  ", 1) for line in content.decode().splitlines()]
        sums = {name: sha256 for sha256, name in rows}
    except OSError as error:
        raise CxrError(f"{folder}: no bundle ({SUMS} is missing); make one with `dvc repro package`") from error
    except ValueError as error:
        raise CxrError(f"{folder / SUMS}: damaged; fetch the bundle again") from error
    present = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    for name in sorted(sums.keys() | present.keys()):
        fault = "missing" if name not in present else "not listed" if name not in sums else ""
        if not fault and _sha256(present[name]) != sums[name]:
            fault = "altered"
        if fault:
            raise CxrError(f"{folder / name}: {fault}, says {SUMS}; fetch the bundle again")
    return hashlib.sha256(content).hexdigest()


def _files(folder: Path) -> list[Path]:
    """All files except the sums and those that Python or a file manager adds."""
    found = (path for path in folder.rglob("*") if path.is_file() and path != folder / SUMS)
    return sorted(
        path for path in found if not any(part.startswith((".", "__")) for part in path.relative_to(folder).parts)
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_archive(folder: Path, path: Path) -> None:
    """Pack all files of a folder, sorted by name, without dates and owners."""
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
