"""Which part of a file name is the patient: asked before films are opened, with a pattern made from the names."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from cxr.core.errors import CxrError
from cxr.ingest.config import DataSection
from cxr.ingest.layouts import SUFFIXES, Candidate

SHAPES = 4  # kinds of names that a suggested pattern covers


def require_patients(candidates: Sequence[Candidate], settings: DataSection) -> None:
    """Raise CxrError where `data.path_pattern` finds no patient in a film's path, with a pattern that would."""
    if settings.patient_from != "pattern":
        return
    films = [one for one in candidates if one.name.lower().endswith(SUFFIXES)]
    nameless = [one for one in films if not one.patient_id and Path(one.address).is_file()]
    if not nameless:
        return
    pattern = suggest_pattern([one.name for one in films])
    found = {match[0] for one in films if (match := re.search(pattern, one.name))}
    tried = pattern in ("", settings.path_pattern)
    remedy = "correct the pattern or the name, or " if tried else f"try {pattern} ({len(found)} patients here), or "
    raise CxrError(
        f"params.yaml: data.path_pattern: {settings.path_pattern} finds no patient in {len(nameless)} of {len(films)} "
        f"paths, such as {nameless[0].name}; {remedy}set data.patient_from: image if each film is a patient of its own"
    )


def suggest_pattern(names: Sequence[str]) -> str:
    """A regular expression whose group `patient_id` takes a name up to its last number but one: `IM-0115` of
    `IM-0115-0001.jpeg`; of a name with a single number all up to it. Empty where no name holds a number.
    """
    shapes: Counter[str] = Counter()
    for name in names:
        numbers = list(re.finditer(r"\d+", Path(name).stem))
        if numbers:
            kept = Path(name).stem[: numbers[-2 if len(numbers) > 1 else -1].end()]
            shapes["".join(r"\d+" if part.isdigit() else re.escape(part) for part in re.split(r"(\d+)", kept))] += 1
    # The longest first: `IM-\d+` would also match inside of `NORMAL\d+-IM-\d+`.
    likely = sorted((shape for shape, _ in shapes.most_common(SHAPES)), key=lambda shape: (-len(shape), shape))
    return f"(?P<patient_id>{'|'.join(likely)})".replace(r"\-", "-") if likely else ""
