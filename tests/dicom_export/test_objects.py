"""The three objects of one film, read back."""

from pathlib import Path

import cv2
import highdicom as hd
import numpy as np
import pydicom
import pytest

from cxr.dicom_export.picture import result_picture
from cxr.predict.prediction import Flag
from tests.dicom_export.conftest import BUNDLE, COMPLETE, STUDY, errors, export, outcome, prediction_of, write_film

PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge")
OF_STUDY = ("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName")


def items(report: pydicom.Dataset, kind: str) -> dict[str, list[pydicom.Dataset]]:
    """The content items of one value type, by the meaning of their name."""
    found: dict[str, list[pydicom.Dataset]] = {}
    todo = list(report.ContentSequence)
    while todo:
        one = todo.pop(0)
        todo += one.get("ContentSequence", [])
        if one.ValueType == kind:
            found.setdefault(one.ConceptNameCodeSequence[0].CodeMeaning, []).append(one)
    return found


def texts(report: pydicom.Dataset, name: str) -> list[str]:
    return [one.TextValue for one in items(report, "TEXT")[name]]


def codes(report: pydicom.Dataset, name: str) -> list[str]:
    return [one.ConceptCodeSequence[0].CodeMeaning for one in items(report, "CODE")[name]]


def test_the_objects_are_in_the_film_s_study_and_in_three_new_series(film: Path, tmp_path: Path) -> None:
    objects = export(tmp_path / "out", outcome(film))
    assert [one.SOPClassUID.name for one in objects.values()] == [
        "Secondary Capture Image Storage",
        "Comprehensive SR Storage",
        "Segmentation Storage",
    ]
    for one in objects.values():
        assert {name: str(one[name].value) for name in (*PATIENT, *OF_STUDY)} == {
            name: COMPLETE[name] for name in (*PATIENT, *OF_STUDY)
        }
        assert "research use only" in one.SeriesDescription
        assert BUNDLE[:12] in one.SoftwareVersions
    series = {one.SeriesInstanceUID for one in objects.values()}
    assert len(series | {COMPLETE["SeriesInstanceUID"]}) == 4


def test_dciodvfy_finds_no_error(film: Path, tmp_path: Path) -> None:
    other = write_film(tmp_path / "other.dcm")
    export(tmp_path / "out", outcome(film), outcome(other, "constant: all pixels are 7"))
    files = sorted((tmp_path / "out").iterdir())
    assert len(files) == 4
    assert {path.name: errors(path) for path in files} == {path.name: set() for path in files}


def test_the_picture_shows_overlay_and_words(film: Path, tmp_path: Path) -> None:
    prediction = prediction_of(film)
    shown = export(tmp_path / "out", outcome(film))["overlay"].pixel_array
    assert np.array_equal(shown, result_picture(prediction, "pneumonia", BUNDLE))
    assert "RESEARCH USE ONLY" in export(tmp_path / "out", outcome(film))["overlay"].ImageComments
    line = np.zeros((60, shown.shape[1], 3), np.uint8)
    text = "RESEARCH USE ONLY. Not for diagnosis or treatment."
    cv2.putText(line, text, (16, 40), (255, 214, 64), cv2.FontFace("sans"), 26, 400)
    assert cv2.matchTemplate(shown, line[10:50, 10:600], cv2.TM_CCORR_NORMED).max() > 0.999


def test_every_flag_has_its_line_in_the_picture(film: Path) -> None:
    flags = tuple(Flag("inverted", f"greys look inverted {number}") for number in range(3))
    few, many = (result_picture(prediction_of(film, flags=some), "pneumonia", BUNDLE) for some in (flags[:1], flags))
    assert many.shape[0] > few.shape[0]
    assert many.shape[1:] == few.shape[1:]


def test_the_report_has_finding_probability_threshold_flags_and_algorithm(film: Path, tmp_path: Path) -> None:
    prediction = prediction_of(film)
    report = export(tmp_path / "out", outcome(film))["report"]
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert codes(report, "Finding") == ["Normal"]
    numbers = {name: [float(one.MeasuredValueSequence[0].NumericValue) for one in found]
               for name, found in items(report, "NUM").items()}  # fmt: skip
    assert numbers == {
        "Calibrated probability of pneumonia": [pytest.approx(prediction.probability, abs=1e-6)],
        "Probability from which pneumonia is predicted": [0.5],
    }
    assert codes(report, "Reliability flag") == ["out of distribution"]
    assert texts(report, "Algorithm Name") == ["cxr-pneumonia"]
    assert texts(report, "Algorithm Version") == [f"bundle {BUNDLE}"]
    assert "out of distribution: 1.20 × threshold" in texts(report, "Comment")
    assert texts(report, "Comment")[0].startswith("RESEARCH USE ONLY")
    assert report.VerificationFlag == "UNVERIFIED"
    cited = items(report, "IMAGE")["Source of Measurement"][0].ReferencedSOPSequence[0]
    assert cited.ReferencedSOPInstanceUID == COMPLETE["SOPInstanceUID"]


def test_highdicom_reads_the_report_as_tid_1500(film: Path, tmp_path: Path) -> None:
    export(tmp_path / "out", outcome(film))
    report = hd.sr.srread(next((tmp_path / "out").glob("*.sr.dcm")))
    groups = report.content.get_image_measurement_groups()
    assert [len(group.get_measurements()) for group in groups] == [2]
    assert [len(group.get_qualitative_evaluations()) for group in groups] == [1]


def test_a_report_of_three_classes_has_a_probability_of_each(film: Path, tmp_path: Path) -> None:
    shares = {"normal": 0.2, "bacterial": 0.7, "viral": 0.1}
    answer = prediction_of(
        film, probabilities=shares, probability=0.7, decision="bacterial", threshold=None, meaning="", flags=()
    )
    report = export(tmp_path / "out", outcome(film, answer))["report"]
    assert set(items(report, "NUM")) == {f"Calibrated probability of {name}" for name in shares}
    assert codes(report, "Finding") == ["Bacterial pneumonia"]
    assert codes(report, "Reliability flag") == ["No reliability flag"]


def test_the_segmentation_is_the_lung_mask_in_the_film_s_pixels(film: Path, tmp_path: Path) -> None:
    prediction = prediction_of(film)
    lungs = export(tmp_path / "out", outcome(film))["lungs"]
    assert (lungs.Rows, lungs.Columns) == (160, 200)
    assert np.array_equal(lungs.pixel_array > 0, prediction.frame.mask_to_film(prediction.mask) > 0)
    assert 0.05 < lungs.pixel_array.mean() < 0.9
    assert lungs.SourceImageSequence[0].ReferencedSOPInstanceUID == COMPLETE["SOPInstanceUID"]


def test_where_the_whole_film_stands_for_the_lungs_there_is_no_segmentation(film: Path, tmp_path: Path) -> None:
    found = export(tmp_path / "out", outcome(film))
    assert set(found) == {"overlay", "report", "lungs"}
    whole = prediction_of(film, mask=np.full_like(prediction_of(film).mask, 255))
    found = export(tmp_path / "out", outcome(film, whole))  # the segmentation of the earlier run is removed
    assert set(found) == {"overlay", "report"}


def test_a_rejected_film_has_a_report_with_the_reason_and_no_number(film: Path, tmp_path: Path) -> None:
    found = export(tmp_path / "out", outcome(film, f"{film}: constant: all pixels are 7; replace or remove it"))
    assert set(found) == {"report"}
    assert items(found["report"], "NUM") == {}
    assert "Finding" not in items(found["report"], "CODE")
    assert codes(found["report"], "Status") == ["Rejected, no prediction"]
    assert texts(found["report"], "Comment")[1] == "Rejected: constant: all pixels are 7; replace or remove it"


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("PatientAge", "62", "062Y"),
        ("PatientAge", "5M", "005M"),
        ("PatientAge", "old", None),
        ("PatientSex", "X", ""),
        ("PatientBirthDate", "1961", ""),
        ("StudyDate", "5.3.24", ""),
        ("StudyTime", "ten", ""),
        ("StudyDescription", "x" * 70, None),
    ],
)
def test_a_faulty_value_is_repaired_or_left_out(tmp_path: Path, name: str, given: str, expected: str | None) -> None:
    with pydicom.config.disable_value_validation():
        path = write_film(tmp_path / "film.dcm", **{name: given})
    for one in export(tmp_path / "out", outcome(path)).values():
        assert one.get(name) == expected
    assert [errors(file) for file in (tmp_path / "out").iterdir()] == [set()] * 3


@pytest.mark.parametrize("given", [None, "", ["L"], ["top", "left"]])
def test_a_missing_or_faulty_orientation_is_left_empty(tmp_path: Path, given: list[str] | str | None) -> None:
    with pydicom.config.disable_value_validation():
        path = write_film(tmp_path / "film.dcm", ("PatientOrientation",) if given is None else (), **(
            {} if given is None else {"PatientOrientation": given}
        ))  # fmt: skip
    found = export(tmp_path / "out", outcome(path))
    assert [found[kind].PatientOrientation for kind in ("overlay", "lungs")] == ["", ""]
    assert [errors(file) for file in (tmp_path / "out").iterdir()] == [set()] * 3


def test_a_header_with_uids_alone_suffices(tmp_path: Path) -> None:
    given = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    path = write_film(tmp_path / "film.dcm", tuple(name for name in COMPLETE if name not in given))
    found = export(tmp_path / "out", outcome(path))
    assert {str(one.StudyInstanceUID) for one in found.values()} == {STUDY}
    assert [errors(file) for file in (tmp_path / "out").iterdir()] == [set()] * 3


@pytest.mark.parametrize(
    ("charset", "name"), [("ISO_IR 100", "Müller^Jörg"), ("ISO_IR 144", "Люкceмбypг"), ("ISO_IR 192", "肺^炎")]
)
def test_names_keep_their_letters_in_utf_8(tmp_path: Path, charset: str, name: str) -> None:
    path = write_film(tmp_path / "film.dcm", SpecificCharacterSet=charset, PatientName=name, StudyDescription=name)
    for one in export(tmp_path / "out", outcome(path)).values():
        assert one.SpecificCharacterSet == "ISO_IR 192"
        assert (str(one.PatientName), one.StudyDescription) == (name, name)
