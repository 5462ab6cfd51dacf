"""The same inputs give the same bytes: a small cohort run under other surroundings, one change at a time."""

import hashlib
import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cxr.core.errors import CxrError
from testing.workspace import ROOT, make_clone, output, repro, results, set_workers

# Python reads this module when it starts: folders are listed in the opposite order of their names.
OTHER_ORDER = """\
import os

_scandir, _listdir = os.scandir, os.listdir


class _Entries:
    def __init__(self, entries):
        self.left = sorted(entries, key=lambda entry: entry.name)

    def __iter__(self):
        return self

    def __next__(self):
        if not self.left:
            raise StopIteration
        return self.left.pop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.left = []

    close = __exit__


def scandir(path="."):
    with _scandir(path) as entries:
        return _Entries(entries)


def listdir(path="."):
    return sorted(_listdir(path), reverse=True)


os.scandir, os.listdir = scandir, listdir
"""


@dataclass(frozen=True)
class Surroundings:
    """What a run finds around it, and no result may depend on."""

    environment: Mapping[str, str] = field(default_factory=dict)
    umask: int = 0o022
    workers: int = 1
    other_order: bool = False

    def variables(self, folder: Path) -> dict[str, str]:
        """The environment; `folder` is where the module for another order is written."""
        if not self.other_order:
            return dict(self.environment)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "sitecustomize.py").write_text(OTHER_ORDER, encoding="utf-8")
        return {**self.environment, "PYTHONPATH": str(folder)}


SURROUNDINGS = {
    "checkout path": Surroundings(),
    "locale": Surroundings({"LC_ALL": "C", "LANG": "C"}),
    "locale tr_TR": Surroundings({"LC_ALL": "tr_TR.UTF-8"}),  # the C locale where it is not installed
    "timezone": Surroundings({"TZ": "Pacific/Kiritimati"}),
    "umask": Surroundings(umask=0o077),
    "hash seed": Surroundings({"PYTHONHASHSEED": "4711"}),
    "workers": Surroundings(workers=3),
    "threads": Surroundings({"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "3"}),
    "order on disk": Surroundings(other_order=True),
}
EVERYTHING = Surroundings(
    {key: value for one in SURROUNDINGS.values() for key, value in one.environment.items()} | {"LC_ALL": "C"},
    umask=0o077,
    workers=3,
    other_order=True,
)


def determinism(work: Path, minutes: float) -> list[dict[str, Any]]:
    """Run under each of the surroundings that the journal lacks until time is up; print and return what differs.

    What other code left in the journal does not count.
    """
    deadline = time.monotonic() + 60 * minutes
    journal = work / "determinism.jsonl"
    done = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()] if journal.is_file() else []
    kept = work / "plain.json"
    plain = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    if not plain or _other_code(plain):
        _run(work / "plain", Surroundings())
        plain, done = results(work / "plain"), []
        kept.write_text(json.dumps(plain), encoding="utf-8")
        journal.unlink(missing_ok=True)
    for name, surroundings in SURROUNDINGS.items():
        if name in {entry["changed"] for entry in done} or time.monotonic() > deadline:
            continue
        folder = work / f"elsewhere {name}"  # the checkout path is another one in every run
        _run(folder, surroundings)
        found = results(folder)
        different = sorted(file for file in plain.keys() | found.keys() if plain.get(file) != found.get(file))
        done.append({"changed": name, "files": len(found), "different": different})
        with journal.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(done[-1]) + "\n")
        shutil.rmtree(folder)
    for entry in done:
        print(f"{entry['changed']:<16}{entry['files']:>5} files, {len(entry['different'])} differ", *entry["different"])
    return done


def _other_code(plain: dict[str, str]) -> bool:
    """Whether the plain run was one of other code than this checkout has now."""
    modules = [name for name in plain if name.endswith(".py") and (ROOT / name).is_file()]
    return any(hashlib.sha256((ROOT / name).read_bytes()).hexdigest() != plain[name] for name in modules)


def _run(folder: Path, surroundings: Surroundings) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    make_clone(folder)
    set_workers(folder, surroundings.workers)
    (folder / ".cache").mkdir()
    variables = surroundings.variables(folder / ".cache/order")
    if repro(folder, surroundings.umask, **variables).wait():
        raise CxrError(f"{folder}: the run failed:\n{output(folder)[-2000:]}")
