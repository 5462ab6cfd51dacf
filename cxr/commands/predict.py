"""Commands that use a bundle: predict films, validate on labelled films, serve over HTTP."""

import argparse
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cxr.commands.parser import CommandParser, Commands
from cxr.core.errors import CxrError
from cxr.predict.service.workers import Limits

if TYPE_CHECKING:  # serving installs neither pandas nor scikit-learn
    import pandas as pd

    from cxr.dicom_export.write import DicomWriter
    from cxr.predict.batch import Record
    from cxr.predict.predictor import Predictor
    from cxr.report.criteria import Criteria

log = logging.getLogger(__name__)
BUNDLE = "models/chest_xray"
DEFAULTS = Limits()


def add_predict_commands(commands: Commands) -> None:
    """Add predict, validate and serve."""
    predict = commands.add("predict", _predict)
    predict.add_argument("films", nargs="+", help="films, folders of films, or s3:// addresses")
    _add_bundle(predict)
    predict.add_argument("--out", type=Path, default=Path("predictions.csv"), help="table (default: %(default)s)")
    predict.add_argument("--overlays", type=Path, help="folder for one picture per film: lungs and evidence")
    predict.add_argument("--metadata", type=Path, help="CSV with columns path, and age or view, if known")
    predict.add_argument(
        "--dicom-out", type=Path, help="folder for DICOM objects: overlay, report, lungs per DICOM film"
    )
    predict.add_argument(
        "--previous", type=Path, metavar="SR", help="earlier report, or folder: the new ones follow it"
    )
    predict.add_argument("--labels", help="CSV with columns path and label: also prints metrics of the frozen bundle")
    predict.add_argument("--patient", default="", help="with --labels: see `validate`")
    predict.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="threads that prepare films")

    validate = commands.add("validate", _validate)
    _add_bundle(validate)
    validate.add_argument("--films", nargs="+", required=True, help="films, folders of films, or s3:// addresses")
    validate.add_argument("--labels", default="", help="CSV with columns path and label; without it, class folders")
    validate.add_argument("--patient", default="", help="regular expression of the patient in a film's address")
    validate.add_argument("--metadata", type=Path, help="CSV with columns path, and age or view, if known")
    validate.add_argument("--criteria", type=Path, help="YAML of acceptance criteria, written before films are scored")
    validate.add_argument("--out", type=Path, default=Path("reports/external"), help="folder (default: %(default)s)")
    validate.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="threads that prepare films")

    serve = commands.add("serve", _serve)
    _add_bundle(serve)
    serve.add_argument("--host", default="127.0.0.1", help="another address needs CXR_SERVICE_TOKEN or --open")
    serve.add_argument("--open", action="store_true", help="take requests from the network without a token")
    serve.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="host name of allowed requests"
    )
    serve.add_argument("--port", type=int, default=8080)
    serve.add_argument("--workers", type=int, default=DEFAULTS.workers, help="films processed at the same time")
    serve.add_argument("--queue", type=int, default=DEFAULTS.queue, help="films that may wait; more get status 503")
    serve.add_argument("--max-mb", type=float, help=f"largest request in MB (default: {DEFAULTS.max_bytes / 1e6:g})")
    serve.add_argument("--seconds", type=float, default=DEFAULTS.seconds, help="time limit per film in seconds")


def _add_bundle(parser: CommandParser) -> None:
    where = "folder of a bundle, or hf://owner/name@revision (default: %(default)s)"
    parser.add_argument("--bundle", default=BUNDLE, help=where)


def _predict(options: argparse.Namespace) -> None:
    """Predict films with a bundle, one row per film.

    FILMS are files, folders or s3://bucket/prefix. A rejected film becomes a row with the reason. An interrupted run
    resumes, unless it has --dicom-out. With --labels, metrics of the frozen bundle are printed. Research use only.
    """
    from cxr.predict.batch import predict_into

    if options.previous is not None and options.dicom_out is None:
        raise CxrError("--previous: the new reports need a folder; add --dicom-out")
    predictor = _load(options.bundle)
    writer = _dicom_writer(options, predictor)
    records = predict_into(
        options.out,
        predictor,
        options.films,
        options.workers,
        options.overlays,
        statistics=bool(options.labels),
        metadata=options.metadata,
        writer=writer,
    )
    if options.labels:
        films = [record.row["film"] for record in records]
        _compare(records, predictor, _reference(options.labels, films, predictor), options.patient)
    if writer is not None:
        writer.finish()


def _validate(options: argparse.Namespace) -> None:
    """Evaluate a frozen bundle on labelled films.

    Without --labels, a folder above each film names its class (NORMAL, PNEUMONIA, in any case). Threshold and
    temperature are those of the bundle. Writes predictions.csv and external.json, and prints metrics and drift. With
    --criteria, the last line is accepted, rejected or too few films; the exit status is 0 only for accepted.
    """
    from cxr.predict.batch import predict_into
    from cxr.predict.inputs import find_films
    from cxr.report.criteria import read_criteria

    predictor = _load(options.bundle)
    # Faulty criteria and labels are reported before the first film is scored.
    criteria = read_criteria(options.criteria, predictor.config.classes) if options.criteria else None
    reference = _reference(options.labels, [film.address for film in find_films(options.films)], predictor)
    records = predict_into(
        options.out / "predictions.csv",
        predictor,
        options.films,
        options.workers,
        statistics=True,
        metadata=options.metadata,
    )
    _compare(records, predictor, reference, options.patient, options.out / "external.json", criteria)


def _serve(options: argparse.Namespace) -> None:
    """Serve a bundle over HTTP until a signal comes; open http://127.0.0.1:8080.

    /ping and /invocations are the routes of SageMaker, /metrics is for Prometheus, and / is a page for people. On
    SIGTERM, the service finishes the requests in progress. On SIGHUP, it reloads the bundle without a pause.
    """
    from cxr.bundle.files import verify_sums
    from cxr.predict.hub import bundle_folder
    from cxr.predict.service.access import TOKEN, access_for
    from cxr.predict.service.supervisor import log_as_json, supervise

    token, platform = os.environ.get(TOKEN, ""), os.environ.get("CXR_PLATFORM", "")
    access = access_for(options.host, token, options.open, options.allow_host, platform)
    folder = bundle_folder(options.bundle)
    verify_sums(folder)
    limits = Limits(
        max_bytes=_max_bytes(options.max_mb),
        queue=options.queue,
        seconds=options.seconds,
        workers=options.workers,
        batch=os.environ.get("SAGEMAKER_BATCH") == "true",
    )
    log_as_json()
    log.info("bundle %s", options.bundle)
    if options.open and not token:
        log.warning("--open: whoever reaches %s:%s can send films, without a token", options.host, options.port)
    supervise(folder, limits, access, options.host, options.port)


def _max_bytes(megabytes: float | None) -> int:
    """The limit of the option, else that of the batch transform, else the default; SageMaker's MB are 2**20 bytes."""
    if megabytes is not None:
        return int(megabytes * 1e6)
    payload = os.environ.get("SAGEMAKER_MAX_PAYLOAD_IN_MB", "")
    if payload and not payload.isdecimal():
        raise CxrError(f"SAGEMAKER_MAX_PAYLOAD_IN_MB: {payload!r} is no number of MB")
    return int(payload or 0) * 2**20 or DEFAULTS.max_bytes  # 0 stands for no limit of SageMaker's


def _dicom_writer(options: argparse.Namespace, predictor: "Predictor") -> "DicomWriter | None":
    if options.dicom_out is None:
        return None
    try:
        from cxr.dicom_export.previous import Previous
        from cxr.dicom_export.write import DicomWriter
    except ModuleNotFoundError as error:
        raise CxrError("--dicom-out needs the package highdicom; pip install -r requirements-dicom.txt") from error
    return DicomWriter(options.dicom_out, predictor.config.classes, predictor.version, Previous.load(options.previous))


def _load(bundle: str) -> "Predictor":
    from cxr.predict.predictor import Predictor

    predictor = Predictor.load(bundle)
    log.info("bundle %s, version %s", bundle, predictor.version)
    return predictor


def _reference(labels: str, films: "Sequence[str]", predictor: "Predictor") -> "pd.DataFrame":
    """The label of each film, from a CSV or, without one, from class folders."""
    from cxr.report.external import from_csv, from_folders

    classes = predictor.config.classes
    return from_csv(labels, films, classes) if labels else from_folders(films, classes)


def _compare(
    records: "Sequence[Record]",
    predictor: "Predictor",
    reference: "pd.DataFrame",
    pattern: str,
    out: Path | None = None,
    criteria: "Criteria | None" = None,
) -> None:
    """Print metrics and drift, and write them to `out` unless it is None.

    Raises:
        SystemExit: status 1, as the films do not meet the criteria.

    Args:
        records: of all films.
        predictor: the bundle that made them.
        reference: columns film, label and any others, as of `_reference`.
        pattern: regular expression of the patient in a film's address, or empty.
        out: JSON to write, or None.
        criteria: of acceptance, or None.
    """
    from dataclasses import asdict

    from cxr.core.config import load_section
    from cxr.core.files import write_json
    from cxr.evaluate.config import EvaluateSection
    from cxr.report.criteria import criteria_text, decide, film_shares
    from cxr.report.external import (
        PATIENT,
        drift,
        drift_text,
        frozen_metrics,
        labelled_table,
        metrics_text,
        patients,
    )

    table = labelled_table(records, reference, patients(reference, pattern))
    metrics = frozen_metrics(table, predictor.config, load_section("evaluate", EvaluateSection))
    moved = drift(records, predictor.reference)
    rejected = sum(bool(record.row["rejected"]) for record in records)
    found = {
        "bundle": predictor.version,
        "films": len(records),
        "labelled": len(reference),
        "rejected": rejected,
        "figures": metrics,
        "drift": moved,
    }
    print(f"\nResearch use only. {len(records)} films, {len(reference)} labelled, {rejected} rejected.\n")
    print(metrics_text(metrics), drift_text(moved), sep="\n\n")
    if not pattern and PATIENT not in reference.columns:
        print("\nEach film counts as a patient of its own: with several films per patient, intervals are too narrow.")
    acceptance = None
    if criteria is not None:
        block = {**metrics["all"], **film_shares(records, reference)}
        acceptance = decide(criteria, block)
        found["acceptance"] = asdict(acceptance)
        print(f"\n{criteria_text(acceptance)}")
    if out is not None:
        write_json(out, found)
    if acceptance is not None and acceptance.verdict != "accepted":
        raise SystemExit(1)
