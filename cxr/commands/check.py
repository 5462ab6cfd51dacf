"""Checks before a run: settings, films, weights and machine, with every error that would stop it."""

import logging
import os
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2

from cxr.aws.config import load_sagemaker
from cxr.commands.cohorts import as_yaml, recognise, write_data_section
from cxr.commands.propose import propose
from cxr.commands.sheet import contact_sheet
from cxr.core.config import load_section, parse_section
from cxr.core.errors import CxrError
from cxr.core.files import utf8, write_bytes
from cxr.films.film import REDUCED_PX
from cxr.films.manifest import SPLITS
from cxr.ingest.config import DataSection, demo_not_drawn, missing_films
from cxr.ingest.entries import FilmEntry
from cxr.ingest.findings import write_findings
from cxr.ingest.masks import mask_folders
from cxr.ingest.patients import header_sample
from cxr.ingest.pseudonyms import hashes_ids, missing_key, patient_key
from cxr.ingest.validate import validate_cohort
from cxr.preprocess.config import PreprocessSection
from cxr.runtime.compute import Compute, load_compute
from cxr.train.config import TrainSection
from stages.check import settings_mistakes

log = logging.getLogger(__name__)
FINDINGS = Path("reports/findings.csv")  # all places of each finding
GB = 1e9
COPIES = 3  # of each stored image: the out, DVC's cache and the per-film cache
CHANNELS = 4  # bytes per pixel of a stored image: RGB and the mask


@dataclass
class CheckReport:
    """Rows of the table, errors that would stop a run, and warnings."""

    rows: list[tuple[str, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def row(self, name: str, text: str) -> None:
        """Add a row."""
        self.rows.append((name, text))

    def attempt(self, name: str, check: Callable[[], str]) -> None:
        """Add a row with the text that `check` returns, or its CxrError to the faults."""
        try:
            self.row(name, check())
        except CxrError as error:
            self.faults += str(error).splitlines()

    def as_text(self) -> str:
        """The rows in two columns."""
        width = max((len(name) for name, _ in self.rows), default=0)
        return utf8("\n".join(f"{name:<{width}}  {text}" for name, text in self.rows))


def check(sheet: Path) -> None:
    """Print the table and the warnings, and draw a contact sheet.

    Raises:
        CxrError: one line per error; errors in the settings are reported first, alone.
    """
    mistakes = settings_mistakes()
    if mistakes:
        raise CxrError("\n".join(mistakes))
    report = CheckReport()
    data = load_section("data", DataSection)
    train, preprocess = load_section("train", TrainSection), load_section("preprocess", PreprocessSection)
    films = check_cohort(data, train, report)
    if films and not report.faults and data.layout != "medmnist":
        picture, unreadable = contact_sheet(films, data.classes)
        write_bytes(sheet, cv2.imencode(".png", picture)[1].tobytes())
        report.row("contact sheet", str(sheet))
        _report_unreadable(unreadable, report)
    check_machine(train, preprocess, load_compute(), len(films), report)
    print(report.as_text())
    for line in report.warnings:
        log.warning("%s", line)
    if report.faults:
        raise CxrError("\n".join(report.faults))
    log.info("ready for `dvc repro`")


def check_folder(folder: Path, write: bool, sheet: Path) -> None:
    """Print what a folder of films is and the section `data` for it; with `write`, put it into params.yaml and check.

    Raises:
        CxrError: the films are not recognised, or the cohort has errors.
    """
    found = recognise(folder) or propose(folder)
    print(f"{found.name}: {', '.join(found.why)}")
    for line in found.know:
        print(f"  {line}")
    print(f"\n{as_yaml(found.data)}")
    if write:
        write_data_section(found.data)
        log.info("params.yaml: section data written; `git diff params.yaml` shows it")
        check(sheet)
        return
    report = CheckReport()
    check_cohort(parse_section(found.data, DataSection, "data"), load_section("train", TrainSection), report)
    print(report.as_text())
    for line in report.warnings:
        log.warning("%s", line)
    if report.faults:
        raise CxrError("\n".join(report.faults))
    log.info("`python -m cxr check %s --write` puts this section into params.yaml", folder)


def check_cohort(settings: DataSection, train: TrainSection, report: CheckReport) -> list[FilmEntry]:
    """Add the cohort to the report; returns its films, or none where they cannot be found."""
    root = Path(settings.root)
    if demo_not_drawn(settings):
        report.row("films", f"{root}: not drawn yet; the next `dvc repro` draws the synthetic cohort")
        return []
    report.faults += missing_films(settings) + missing_key(settings)
    if report.faults:
        return []
    films, findings = validate_cohort(settings, patient_key(settings), _patients_per_class(train))
    write_findings(FINDINGS, findings)
    for finding in findings:
        (report.faults if finding.severity == "error" else report.warnings).append(finding.text(FINDINGS))
    if not films:
        return []
    report.row("films", f"{len(films)} in {root}, layout {settings.layout}")
    classes = Counter(film.label for film in films)
    report.row("classes", ", ".join(f"{name} {classes[name]}" for name in settings.classes))
    report.row("patients", _patients(films, settings))
    report.row("splits", _splits(films, settings))
    masks = " and ".join(map(str, mask_folders(settings)))
    report.row("lung masks", f"reference masks in {masks}" if masks else "no reference masks")
    return [replace(film, patient_id=None) for film in films] if hashes_ids(settings) else films


def _patients_per_class(train: TrainSection) -> int:
    """The training patients of each class that training needs."""
    from cxr.acquisition.score import FOLDS

    return FOLDS if train.balance == "acquisition" else 1


def _patients(films: Sequence[FilmEntry], settings: DataSection) -> str:
    if settings.patient_from == "image":
        return f"{len(films)}, one per film (data.patient_from: image)"
    if settings.patient_from == "dicom":
        sample = len(header_sample(films))
        seen = f"{sample} headers" if sample == len(films) else f"a sample of {sample} headers of {len(films)}"
        return f"from the DICOM tag {settings.patient_tag}, checked in {seen}"
    count = len({film.patient_id for film in films if film.patient_id})
    source = f"{count}, from data.patient_from: {settings.patient_from}"
    if hashes_ids(settings):
        return f"{source}; their ids will be hashed"
    first = next((film for film in films if film.patient_id), None)
    return f"{source}; {first.name} is of patient {first.patient_id}" if first else source


def _splits(films: Sequence[FilmEntry], settings: DataSection) -> str:
    given = Counter("train" if film.split is None else film.split for film in films)
    if settings.cuts_validation:
        given["train"] += given.pop("val", 0)
    cut = {"val": settings.validation_share, "test": settings.test_fraction}
    parts = []
    for split in SPLITS:
        if given[split]:
            parts.append(f"{split} {given[split]}")
        elif cut.get(split):
            parts.append(f"{split}: {cut[split]:.0%} of the patients, cut from train")
        else:
            parts.append(f"{split}: none")
    return "; ".join(parts)


def check_machine(
    train: TrainSection, preprocess: PreprocessSection, compute: Compute, films: int, report: CheckReport
) -> None:
    """Add weights, disk space, devices and the place of training to the report."""
    report.attempt("weights", lambda: _weights(train))
    report.attempt("disk", lambda: _disk(preprocess, films))
    report.attempt("machine", lambda: _devices(train, compute))
    report.attempt("training", lambda: _place(compute))


def _weights(train: TrainSection) -> str:
    from cxr.models.weights import has_weights

    return f"{train.weights} for {train.backbone}: {has_weights(train.backbone, train.weights)}"


def _disk(preprocess: PreprocessSection, films: int) -> str:
    needed = films * (preprocess.image_px**2 * CHANNELS * COPIES + REDUCED_PX**2)
    free = shutil.disk_usage(Path.cwd()).free
    if free < needed:
        raise CxrError(
            f"disk: {free / GB:.1f} GB free, {films} films of {preprocess.image_px} pixels need about "
            f"{needed / GB:.1f} GB; free some (`python -m cxr prune`, `dvc gc`) or lower preprocess.image_px"
        )
    return f"{free / GB:.1f} GB free, about {needed / GB:.1f} GB needed"


def _devices(train: TrainSection, compute: Compute) -> str:
    from cxr.train.device import pick_devices
    from cxr.train.recipe import batch_size

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GB
    here = f"{compute.n_workers} processes for per-film work, {memory:.0f} GB of memory"
    if compute.backend != "local":
        return here
    accelerator, devices = pick_devices(compute, batch_size(0, train))
    return f"{here}; trains on {devices} GPU" if accelerator == "gpu" else f"{here}; trains on the CPU"


def _place(compute: Compute) -> str:
    if compute.backend == "local":
        return "on this machine (compute.yaml, backend: local)"
    from cxr.aws.config import resolve

    found = resolve(load_sagemaker())
    return f"on SageMaker: {found.instance_count} x {found.instance_type} in {found.region}, bucket {found.bucket}"


def _report_unreadable(reasons: Sequence[str], report: CheckReport) -> None:
    """Add an error when most films of the contact sheet cannot be read, and a warning when some cannot."""
    found = [reason for reason in reasons if reason]
    if found:
        text = f"{len(found)} of {len(reasons)} films of the contact sheet cannot be read, such as {found[0]}"
        (report.faults if len(found) > len(reasons) / 2 else report.warnings).append(text)
