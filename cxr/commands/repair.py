"""Repair of the files that a killed DVC leaves half-written.

DVC writes the record of its locks and dvc.lock in place. Killed while it writes, it cannot read them afterwards.
"""

import io
import json
import logging
import subprocess
from collections.abc import Callable
from pathlib import Path

from dvc.lock import LockError, make_lock
from dvc.rwlock import RWLOCK_FILE, RWLOCK_LOCK
from dvc.rwlock import SCHEMA as RECORD
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from voluptuous import Invalid

from cxr.core.errors import CxrError
from cxr.core.files import write_bytes

log = logging.getLogger(__name__)
TMP, LOCK = Path(".dvc/tmp"), Path("dvc.lock")


def repair() -> None:
    """Delete a broken record of locks, and restore a broken dvc.lock from the last commit.

    Stages that ran since then are restored from DVC's run-cache. Readable files are not changed.

    Raises:
        CxrError: another DVC process is running.
    """
    if not TMP.parent.is_dir():
        raise CxrError(f"{TMP.parent}: no such folder; run from the root of the repository")
    TMP.mkdir(exist_ok=True)
    for folder in (TMP, TMP / "exps"):
        if (folder / RWLOCK_FILE).is_file():
            _locked(folder / RWLOCK_LOCK, _repair_record)
    if LOCK.is_file():
        _locked(TMP / "lock", _repair_lock)


def _locked(lock: Path, fix: Callable[[Path], None]) -> None:
    """Repair under DVC's lock: a file that another process is still writing is not broken."""
    try:
        with make_lock(str(lock), tmp_dir=str(TMP)):
            fix(lock.parent / RWLOCK_FILE if lock.name == RWLOCK_LOCK else LOCK)
    except LockError as error:
        raise CxrError(f"{lock}: another DVC process is running; wait until it ends") from error


def _repair_record(record: Path) -> None:
    try:
        RECORD(json.loads(record.read_bytes()))
    except (ValueError, Invalid):
        record.unlink()
        log.warning("%s: was half-written; deleted", record)


def _repair_lock(path: Path) -> None:
    try:
        COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe", pure=True).load(io.BytesIO(path.read_bytes())))
    except (YAMLError, ValueError, TypeError, Invalid):
        committed = subprocess.run(["git", "show", f"HEAD:{path}"], capture_output=True, check=False)
        if committed.returncode:
            path.unlink()
        else:
            write_bytes(path, committed.stdout)
        log.warning(
            "%s: was half-written; %s", path, "deleted" if committed.returncode else "restored from the last commit"
        )
