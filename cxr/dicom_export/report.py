"""The structured report of one film: a Comprehensive SR after DICOM PS3.16 TID 1500."""

from collections.abc import Iterator

import highdicom as hd
from highdicom import sr
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from cxr.bundle.config import FLAGS
from cxr.dicom_export.header import UTF_8, FilmHeader
from cxr.dicom_export.identity import RESEARCH, Identity, settle, uid_of
from cxr.predict.own import MANUFACTURER
from cxr.predict.prediction import DIGITS, Prediction

SCHEME = "99CXRPNEUMONIA"  # codes without a standard one; `99` begins private schemes
FINDINGS = {
    "normal": Code("17621005", "SCT", "Normal"),
    "pneumonia": Code("233604007", "SCT", "Pneumonia"),
    "bacterial": Code("53084003", "SCT", "Bacterial pneumonia"),
    "viral": Code("75570004", "SCT", "Viral pneumonia"),
}
_CHEST_FILM = Code("399208008", "SCT", "Plain chest X-ray")
_MEANINGS = {flag.code: flag.code.replace("_", " ") for flag in FLAGS}


def report_object(
    answer: Prediction | str, header: FilmHeader, identity: Identity, previous: Dataset | None
) -> Dataset:
    """The prediction, or the reason of the rejection without any number.

    Args:
        answer: prediction of the film, or the reason of its rejection.
        header: of the film.
        identity: of the film's objects.
        previous: the report that this one follows, or None.
    """
    film = header.reference
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(identity.uid("tracking"), "Chest film"),
        finding_type=None if isinstance(answer, str) else finding_code(answer.decision),
        algorithm_id=_algorithm(identity),
        finding_sites=None if isinstance(answer, str) else [sr.FindingSite(codes.SCT.Lung)],
        measurements=None if isinstance(answer, str) else list(_measurements(answer)),
        qualitative_evaluations=list(_evaluations(answer)),
        source_images=[sr.SourceImageForMeasurementGroup(film.SOPClassUID, film.SOPInstanceUID)],
    )
    group[0].ContentSequence.extend(_comment(text) for text in _comments(answer))
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=uid_of("device", identity.bundle),
        name=MANUFACTURER,
        manufacturer_name=MANUFACTURER,
        serial_number=identity.bundle,
    )
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=sr.ObserverContext(codes.DCM.Device, device)),
        procedure_reported=_CHEST_FILM,
        imaging_measurements=[group],
    )
    report = sr.ComprehensiveSR(
        evidence=[film],
        content=content[0],
        is_complete=True,
        is_final=False,
        is_verified=False,
        previous_versions=None if previous is None else [previous],
        specific_character_set=UTF_8,
        **identity.series("report"),
    )
    return settle(report, header, identity, "report")


def finding_code(name: str) -> Code:
    """The code of a class: of SNOMED CT where there is one, else private."""
    return FINDINGS.get(name) or _private(name, name.replace("_", " "))


def _private(value: str, meaning: str) -> Code:
    return Code(value, SCHEME, meaning[:64])


def _algorithm(identity: Identity) -> sr.AlgorithmIdentification:
    return sr.AlgorithmIdentification(name=MANUFACTURER, version=f"bundle {identity.bundle}")


def _measurements(prediction: Prediction) -> Iterator[sr.Measurement]:
    classes = list(prediction.probabilities)
    shown = classes[1:] if len(classes) == 2 else classes
    for name in shown:
        code = _private(f"probability_{name}", f"Calibrated probability of {name}")
        yield sr.Measurement(code, round(prediction.probabilities[name], DIGITS), codes.UCUM.NoUnits)
    if prediction.threshold is not None:
        code = _private("threshold", f"Probability from which {classes[1]} is predicted")
        yield sr.Measurement(code, round(prediction.threshold, DIGITS), codes.UCUM.NoUnits)


def _evaluations(answer: Prediction | str) -> Iterator[sr.QualitativeEvaluation]:
    flag = _private("flag", "Reliability flag")
    if isinstance(answer, str):
        yield sr.QualitativeEvaluation(_private("status", "Status"), _private("rejected", "Rejected, no prediction"))
        return
    for one in answer.flags:
        yield sr.QualitativeEvaluation(flag, _private(one.code, _MEANINGS[one.code]))
    if not answer.flags:
        yield sr.QualitativeEvaluation(flag, _private("none", "No reliability flag"))


def _comments(answer: Prediction | str) -> Iterator[str]:
    yield f"{RESEARCH.upper()}. Not a medical device; not for diagnosis or treatment."
    if isinstance(answer, str):
        yield f"Rejected: {answer}"
        return
    yield from (flag.text for flag in answer.flags)
    if answer.meaning:
        yield answer.meaning


def _comment(text: str) -> sr.TextContentItem:
    return sr.TextContentItem(codes.DCM.Comment, text, hd.sr.RelationshipTypeValues.CONTAINS)
