"""A small wheel, and the lock beside it, as `make wheels` leaves them."""

import zipfile
from pathlib import Path


def write_wheel(folder: Path, name: str, version: str, tag: str = "py3-none-any", word: str = "arrived") -> Path:
    """Write a wheel of one module whose WORD is `word`."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-{version}-{tag}.whl"
    facts = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", f"WORD = {word!r}\n")
        archive.writestr(f"{facts}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{facts}/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")
        archive.writestr(f"{facts}/RECORD", "")
    (folder / "requirements.txt").write_text(f"{name.replace('_', '-')}=={version}\n")
    return path
