"""Patients of the films by path, column or DICOM header, and a pattern proposed from the paths."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from cxr.core.errors import CxrError
from cxr.films.dicom import dicom_tag, is_dicom
from cxr.films.read import read_source
from cxr.ingest.config import DataSection
from cxr.ingest.entries import FilmEntry, looks_like_film
from cxr.ingest.findings import Finding, error, warning

SHAPES = 4  # kinds of file names that a suggested pattern covers
HEADERS = 500  # DICOM headers that the check reads
CROWDED = 10  # films per patient from which another pattern is tried
PERSON = re.compile(r"(patient|person|subject|subj|sub|case|pat|pid|p|id)[-_ ]?(\d+)", re.IGNORECASE)
IMAGE_REMEDY = "set data.patient_from: image if each film is of another patient"


def patient_findings(entries: Sequence[FilmEntry], settings: DataSection) -> list[Finding]:
    """Errors where a film has no patient, and a warning where a pattern finds suspiciously few."""
    if settings.patient_from == "column":
        blank = [one.name for one in entries if not one.patient_id]
        remedy = f"fill it, or {IMAGE_REMEDY}"
        where = f"{settings.root}/{settings.labels_csv}: column {settings.columns.patient_id!r}"
        return [error(f"{where} is blank for {len(blank)} of {len(entries)} films", remedy, blank)] if blank else []
    if settings.patient_from != "pattern":
        return []
    root = Path(settings.root)
    films = [one for one in entries if Path(one.address).is_file() and looks_like_film(root, one.name)]
    nameless = [one.name for one in films if not one.patient_id]
    names = [one.name for one in films]
    if not nameless:
        return _too_few(films, names, settings)
    pattern = suggest_pattern(names)
    tried = pattern in ("", settings.path_pattern)
    patients = {match[0] for name in names if (match := re.search(pattern, name))}
    remedy = "correct the pattern or the name, or " if tried else f"try {pattern} ({len(patients)} patients here), or "
    return [
        error(
            f"params.yaml: data.path_pattern: {settings.path_pattern} finds no patient in {len(nameless)} of "
            f"{len(films)} paths",
            remedy + IMAGE_REMEDY,
            nameless,
        )
    ]


def _too_few(films: Sequence[FilmEntry], names: Sequence[str], settings: DataSection) -> list[Finding]:
    own = {one.patient_id for one in films}
    if len(films) < CROWDED * len(own):
        return []
    pattern = suggest_pattern(names)
    found = {match["patient_id"] for name in names if (match := re.search(pattern, name))} if pattern else set()
    remedy = f"try {pattern} ({len(found)} patients here)" if len(found) > 2 * len(own) else "check the pattern"
    problem = (
        f"params.yaml: data.path_pattern: {settings.path_pattern} finds only {len(own)} patients in {len(films)} films"
    )
    kind = error if len(found) > 2 * len(own) and len(own) < 10 else warning
    return [kind(problem, remedy, names[:1])]


def header_sample(entries: Sequence[FilmEntry]) -> Sequence[FilmEntry]:
    """Up to HEADERS films, evenly spaced."""
    return entries[:: max(1, -(-len(entries) // HEADERS))]


def dicom_patients(entries: Sequence[FilmEntry], settings: DataSection) -> tuple[dict[str, str], list[Finding]]:
    """Patients by the film's name from up to HEADERS DICOM headers, evenly spaced, and findings about those without.

    A film that cannot be read is left to ingest.
    """
    sample = header_sample(entries)
    found: dict[str, str] = {}
    without, foreign = [], []
    for one in sample:
        try:
            source = read_source(one.address)
            if not is_dicom(one.address, source.content):
                foreign.append(one.name)
                continue
            patient = dicom_tag(one.address, source.content, settings.patient_tag)
        except CxrError:
            continue
        if patient:
            found[one.name] = patient
        else:
            without.append(one.name)
    seen = f"{len(sample)} DICOM headers"
    if len(sample) < len(entries):
        seen = f"{len(sample)} sampled DICOM headers of {len(entries)}"
    findings = []
    for names, problem, remedy in (
        (without, f"tag {settings.patient_tag} is empty", "name another in data.patient_tag, or set data.patient_from"),
        (foreign, "is no DICOM file (data.patient_from: dicom)", "set data.patient_from: column, pattern or image"),
    ):
        if names:
            kind = error if len(names) > settings.max_quarantined * len(sample) else warning
            findings.append(kind(f"{settings.root}: {problem} in {len(names)} of {seen}", remedy, names))
    return found, findings


def suggest_pattern(names: Sequence[str]) -> str:
    """A regular expression whose group `patient_id` matches a folder named like a patient, or a part of the file name.

    In a file name it matches up to the last number but one: `IM-0115` of `IM-0115-0001.jpeg`, and a name with a single
    number up to that number. Empty when no name contains a number, and for names of random letters (UUID).
    """
    folder = _folder_pattern(names)
    if folder:
        return folder
    shapes: Counter[str] = Counter()
    for name in names:
        stem = Path(name).stem
        numbers = list(re.finditer(r"\d+", stem))
        if numbers and not re.search(r"[0-9a-f]{8}-[0-9a-f]{4,}|^[0-9a-f]{24,}$", stem):
            kept = stem[: numbers[-2 if len(numbers) > 1 else -1].end()]
            shapes["".join(r"\d+" if part.isdigit() else re.escape(part) for part in re.split(r"(\d+)", kept))] += 1
    # Longest first: `IM-\d+` would also match inside `NORMAL\d+-IM-\d+`.
    likely = sorted((shape for shape, _ in shapes.most_common(SHAPES)), key=lambda shape: (-len(shape), shape))
    return f"(?P<patient_id>{'|'.join(likely)})".replace(r"\-", "-").replace("\\ ", " ") if likely else ""


def _folder_pattern(names: Sequence[str]) -> str:
    """A pattern for the level of folders that are named like patients in every path; the one with most of them."""
    best, most = "", 1
    for level in range(min((name.count("/") for name in names), default=0)):
        folders = {name.split("/")[level] for name in names}
        found = [PERSON.fullmatch(folder) for folder in folders]
        if not all(found) or len(folders) <= most:
            continue
        before = {folder[: match.start(2)] for folder, match in zip(folders, found, strict=True) if match}
        digits = min(len(match[2]) for match in found if match)
        if len(before) == 1:
            best, most = f"(?P<patient_id>{before.pop()}\\d{{{digits},}})/", len(folders)
    return best
