"""The films as their layout names them: classes, patients, splits, masks. No film is opened."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cxr.check.report import CheckReport
from cxr.core.errors import CxrError
from cxr.films.manifest import SPLITS
from cxr.ingest.config import DataSection, demo_not_drawn, missing_films
from cxr.ingest.layouts import Candidate, find_candidates
from cxr.ingest.preflight import advice, require_patients
from cxr.ingest.pseudonyms import hashes_ids, missing_key


def check_cohort(settings: DataSection, report: CheckReport) -> list[Candidate]:
    """Add what was understood of the films to the report; returns them, or nothing where they cannot be found."""
    root = Path(settings.root)
    if demo_not_drawn(settings):
        report.row("films", f"{root}: not drawn yet; the next `dvc repro` draws the synthetic cohort")
        return []
    report.faults += missing_films(settings) + missing_key(settings)
    if report.faults:
        return []
    try:
        films = find_candidates(settings)
    except CxrError as error:
        report.faults.append(str(error))
        return []
    report.row("films", f"{len(films)} in {root}, layout {settings.layout}")
    classes = Counter(film.label for film in films)
    report.row("classes", ", ".join(f"{name} {classes[name]}" for name in settings.classes))
    report.faults += [
        f"params.yaml: data.classes: no film of class {name!r}; correct data.classes or data.label_map"
        for name in settings.classes
        if not classes[name]
    ]
    report.attempt("patients", lambda: _patients(films, settings))
    report.row("splits", _splits(films, settings))
    masks = settings.masks_folder
    report.row("lung masks", f"to compare with: {masks}" if masks else "none to compare with")
    report.warnings += advice(films, settings)
    return [replace(film, patient_id=None) for film in films] if hashes_ids(settings) else films


def _patients(films: Sequence[Candidate], settings: DataSection) -> str:
    require_patients(films, settings)
    if settings.patient_from == "image":
        return f"each of the {len(films)} films is taken for a patient of its own (data.patient_from: image)"
    if settings.patient_from == "dicom":
        return f"from the DICOM tag {settings.patient_tag}, read when the films are opened"
    count = len({film.patient_id for film in films})
    if hashes_ids(settings):
        return f"{count}, from data.patient_from: {settings.patient_from}; their ids will be hashed"
    first = films[0]
    return f"{count}, from data.patient_from: {settings.patient_from}; {first.name} is of patient {first.patient_id}"


def _splits(films: Sequence[Candidate], settings: DataSection) -> str:
    given = Counter("train" if film.split is None else film.split for film in films)
    if settings.published_val == "merge":
        given["train"] += given.pop("val", 0)
    cut = {"val": settings.val_fraction, "test": settings.test_fraction}
    parts = []
    for split in SPLITS:
        if given[split]:
            parts.append(f"{split} {given[split]}")
        elif cut.get(split):
            parts.append(f"{split}: {cut[split]:.0%} of the patients, cut from train")
        else:
            parts.append(f"{split}: none")
    return "; ".join(parts)
