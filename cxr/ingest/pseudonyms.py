"""Patient ids that name nobody: a keyed hash (HMAC-SHA256), whose key stays on this machine."""

import hashlib
import hmac
import os
from pathlib import Path

from cxr.core.errors import CxrError
from cxr.ingest.config import DataSection

VARIABLE, KEY_FILE = "CXR_PATIENT_KEY", ".patient_key"
MIN_LETTERS, MIN_DISTINCT = 32, 10  # of a key: what `secrets.token_hex(32)` never falls below in practice
DIGITS = 16  # hexadecimal, 64 bits: two of a million patients collide once in 37 million cohorts
REMEDY = f"make one: (umask 077; python -c 'import secrets; print(secrets.token_hex(32))' > {KEY_FILE})"


def hashes_ids(settings: DataSection) -> bool:
    """Whether patient ids are replaced: `auto` replaces those that come from DICOM."""
    return settings.patient_ids == "hashed" or (settings.patient_ids == "auto" and settings.patient_from == "dicom")


def patient_key(settings: DataSection) -> bytes:
    """The key of the hash, from the environment or from `.patient_key` of the main checkout; empty where none is used.

    Raises:
        CxrError: there is no key, or a weak one.
    """
    if not hashes_ids(settings):
        return b""
    file = Path(os.environ.get("DVC_ROOT", ".")) / KEY_FILE
    key, where = os.environ.get(VARIABLE, "").strip(), VARIABLE
    if not key and file.is_file():
        key, where = file.read_text(encoding="utf-8", errors="replace").strip(), KEY_FILE
    if not key:
        raise CxrError(
            f"params.yaml: data.patient_ids: {settings.patient_ids}: no key in {VARIABLE} or {KEY_FILE}; {REMEDY}, "
            "or set data.patient_ids: as_is where the ids name nobody"
        )
    if len(key) < MIN_LETTERS or len(set(key)) < MIN_DISTINCT:
        raise CxrError(f"{where}: too weak a key for patient ids, with it they could be guessed; {REMEDY}")
    return key.encode()


def missing_key(settings: DataSection) -> list[str]:
    """A line where patient ids are to be hashed and there is no good key."""
    try:
        patient_key(settings)
    except CxrError as error:
        return [str(error)]
    return []


def pseudonym(patient: str, key: bytes) -> str:
    """The id that stands for a patient: the same for one key, and without it no way back; unchanged without a key."""
    if not key or not patient:
        return patient
    return hmac.new(key, patient.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()[:DIGITS]


def key_fingerprint(key: bytes) -> str:
    """What tells keys apart without telling them."""
    return hmac.new(key, b"fingerprint", hashlib.sha256).hexdigest()[:8] if key else ""
