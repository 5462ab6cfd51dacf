"""Pseudonymous patient ids: a keyed hash (HMAC-SHA256) whose key stays on this machine."""

import hashlib
import hmac
import os
from pathlib import Path

from cxr.core.errors import CxrError
from cxr.ingest.config import DataSection

VARIABLE, KEY_FILE = "CXR_PATIENT_KEY", ".patient_key"
MIN_LETTERS, MIN_DISTINCT = 32, 10  # of a key; `secrets.token_hex(32)` exceeds both
DIGITS = 16  # hexadecimal, 64 bits: a collision among a million patients has a probability of 1 in 37 million
REMEDY = f"make one: (umask 077; python -c 'import secrets; print(secrets.token_hex(32))' > {KEY_FILE})"


def hashes_ids(settings: DataSection) -> bool:
    """Whether patient ids are hashed: `auto` hashes those from DICOM."""
    return settings.patient_ids == "hashed" or (settings.patient_ids == "auto" and settings.patient_from == "dicom")


def patient_key(settings: DataSection) -> bytes:
    """The key of the hash, from the environment or from `.patient_key` of the main checkout; empty if ids are kept.

    Raises:
        CxrError: the key is missing or weak.
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
            "or set data.patient_ids: as_is if the ids identify no person"
        )
    if len(key) < MIN_LETTERS or len(set(key)) < MIN_DISTINCT:
        raise CxrError(f"{where}: key too weak, patient ids could be guessed; {REMEDY}")
    return key.encode()


def missing_key(settings: DataSection) -> list[str]:
    """An error line when patient ids are to be hashed and the key is missing or weak."""
    try:
        patient_key(settings)
    except CxrError as error:
        return [str(error)]
    return []


def pseudonym(patient: str, key: bytes) -> str:
    """The pseudonym of a patient id: the same for the same key, not invertible; unchanged with an empty key."""
    if not key or not patient:
        return patient
    return hmac.new(key, patient.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()[:DIGITS]


def key_fingerprint(key: bytes) -> str:
    """Eight digits that identify a key without revealing it."""
    return hmac.new(key, b"fingerprint", hashlib.sha256).hexdigest()[:8] if key else ""
