"""metrics/details/data.json: the audit of ingest, carried over into what Git tracks."""

import json
from pathlib import Path
from typing import Any

from cxr.core.errors import CxrError


def data_details(audit: Path) -> dict[str, Any]:
    """Films and patients by split and class, quarantined, dropped; raises CxrError where there is no audit."""
    try:
        return dict(json.loads(audit.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise CxrError(f"{audit}: no readable audit; run `dvc repro ingest` first") from error
