"""Writing the objects of a run: the same bytes again, predecessors, and films that no object can refer to."""

import sys
from pathlib import Path

import pydicom
import pytest

from cxr.__main__ import main
from cxr.core.errors import CxrError
from cxr.dicom_export.previous import Previous
from cxr.predict.batch import ProgressLog, predict_all
from cxr.predict.inputs import find_films
from cxr.predict.predictor import Predictor
from tests.conftest import phantom, write_image
from tests.dicom_export.conftest import BUNDLE, COMPLETE, STUDY, export, outcome, write_film


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_second_run_writes_the_same_bytes(film: Path, tmp_path: Path) -> None:
    for out in ("one", "two"):
        export(tmp_path / out, outcome(film))
    assert len(content(tmp_path / "one")) == 3
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_dates_are_those_of_the_film(film: Path, tmp_path: Path) -> None:
    for one in export(tmp_path / "out", outcome(film)).values():
        assert (one.ContentDate, one.ContentTime) == ("20240305", "101112")
        assert one.InstanceCreationDate == "20240305"


def test_another_bundle_and_another_film_have_other_uids(film: Path, tmp_path: Path) -> None:
    other = write_film(tmp_path / "other.dcm", PatientID="12")
    runs = [
        export(tmp_path / "a", outcome(film)),
        export(tmp_path / "b", outcome(film), bundle=BUNDLE[::-1]),
        export(tmp_path / "c", outcome(other)),
    ]
    uids = {
        str(one[name].value) for run in runs for one in run.values() for name in ("SOPInstanceUID", "SeriesInstanceUID")
    }
    assert len(uids) == 18
    assert all(len(uid) <= 64 and uid.startswith("2.25.") for uid in uids)


@pytest.mark.parametrize("given", ["file", "folder"])
def test_a_report_names_its_predecessor(film: Path, tmp_path: Path, given: str) -> None:
    first = export(tmp_path / "a", outcome(film))["report"]
    previous = tmp_path / "a" if given == "folder" else next((tmp_path / "a").glob("*.sr.dcm"))
    second = export(tmp_path / "b", outcome(film), bundle=BUNDLE[::-1], previous=previous)["report"]
    study = second.PredecessorDocumentsSequence[0]
    cited = study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert study.StudyInstanceUID == STUDY
    assert cited.ReferencedSOPInstanceUID == first.SOPInstanceUID
    again = export(tmp_path / "c", outcome(film), previous=previous)["report"]
    assert again.SOPInstanceUID != first.SOPInstanceUID  # nothing is its own predecessor


def test_a_predecessor_that_fits_no_film_is_an_error(film: Path, tmp_path: Path) -> None:
    other = write_film(tmp_path / "other.dcm", SOPInstanceUID=f"{STUDY}.9")
    export(tmp_path / "a", outcome(other))
    report = next((tmp_path / "a").glob("*.sr.dcm"))
    with pytest.raises(CxrError, match=rf"^{report}: --previous is about no film of this run; give"):
        export(tmp_path / "b", outcome(film), previous=report)
    with pytest.raises(CxrError, match=r"film\.dcm: no structured report of a film; give the \.sr\.dcm"):
        Previous.load(film)
    with pytest.raises(CxrError, match=r"nothing\.dcm: cannot be read"):
        Previous.load(tmp_path / "nothing.dcm")
    report.with_name("copy.sr.dcm").write_bytes(report.read_bytes())
    with pytest.raises(CxrError, match="about the same film as"):
        Previous.load(tmp_path / "a")


@pytest.mark.parametrize("name", ["StudyInstanceUID", "SeriesInstanceUID"])
def test_a_film_without_a_uid_is_one_line_and_the_others_are_written(film: Path, tmp_path: Path, name: str) -> None:
    homeless = write_film(tmp_path / "homeless.dcm", (name,))
    with pytest.raises(
        CxrError, match=rf"^{homeless}: no {name}, so no DICOM object.*; export the film again"
    ) as caught:
        export(tmp_path / "out", outcome(homeless), outcome(film))
    assert "\n" not in str(caught.value)
    assert len(content(tmp_path / "out")) == 3
    assert not [path for path in content(tmp_path / "out") if "homeless" in path]


def test_a_header_of_which_nothing_can_be_made_is_one_line(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.dcm", SOPClassUID="1.2.3.4")
    with pytest.raises(CxrError, match=r"film\.dcm: no DICOM objects can be made of its header \(\w+\); export"):
        export(tmp_path / "out", outcome(path))
    assert not (tmp_path / "out").exists()


def test_a_film_that_changes_meanwhile_is_an_error(film: Path, tmp_path: Path) -> None:
    found = outcome(film)
    write_film(film, PatientID="12")
    with pytest.raises(CxrError, match="changed while it was being predicted; run again"):
        export(tmp_path / "out", found)


def test_other_files_have_no_objects(film: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    ct, jpeg = (
        write_film(tmp_path / "ct.dcm", ("StudyInstanceUID",), Modality="CT"),
        write_image(tmp_path / "a.jpg", phantom()[0]),
    )
    (tmp_path / "damaged.dcm").write_bytes(b"no film")
    others = [outcome(path, "rejected") for path in (ct, jpeg, tmp_path / "damaged.dcm", tmp_path / "gone.dcm")]
    export(tmp_path / "out", *others, outcome(film))
    assert len(content(tmp_path / "out")) == 3
    assert "DICOM objects of 1 films; none for 4 others" in caplog.text


def test_films_whose_names_join_to_the_same_have_files_of_their_own(tmp_path: Path) -> None:
    two = [write_film(tmp_path / "a/b.dcm"), write_film(tmp_path / "a_b.dcm", PatientID="12")]
    for _ in range(2):
        export(tmp_path / "out", *map(outcome, two))
        reports = [pydicom.dcmread(path).PatientID for path in sorted((tmp_path / "out").glob("*.sr.dcm"))]
        assert sorted(reports) == ["12", "4711"]


def test_an_interrupted_run_starts_anew(tmp_path: Path) -> None:
    """Otherwise the films of the first part could have no objects."""
    write_film(tmp_path / "films/film.dcm")
    out, films = tmp_path / "table.csv", [str(tmp_path / "films")]
    predictor = Predictor.load("models/chest_xray")
    predict_all(predictor, find_films(films), ProgressLog(out, predictor.version), 1)
    main(["predict", *films, "--out", str(out), "--dicom-out", str(tmp_path / "out")])
    assert list((tmp_path / "out").glob("*.sr.dcm"))


def test_patient_data_reach_only_the_objects(film: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    export(tmp_path / "out", outcome(film))
    assert "Doe" not in caplog.text
    assert COMPLETE["PatientID"] not in caplog.text
    assert COMPLETE["SOPInstanceUID"] not in caplog.text


def test_the_command_writes_objects_and_never_predicts_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    write_film(tmp_path / "films/film.dcm")
    arguments = ["predict", str(tmp_path / "films"), "--out", str(tmp_path / "table.csv"), "--workers", "1"]
    main([*arguments, "--dicom-out", str(tmp_path / "films/results")])
    first, table = content(tmp_path / "films/results"), (tmp_path / "table.csv").read_bytes()
    assert any(name.endswith(".sr.dcm") for name in first)
    main([*arguments, "--dicom-out", str(tmp_path / "films/results")])
    assert (tmp_path / "table.csv").read_bytes() == table
    assert content(tmp_path / "films/results") == first
    assert f"left out: {len(first)} DICOM objects that this program wrote" in caplog.text
    assert "Doe" not in table.decode() + caplog.text


def test_previous_needs_a_folder_for_the_new_reports(tmp_path: Path) -> None:
    with pytest.raises(CxrError, match="--previous: the new reports need a folder; add --dicom-out"):
        main(["predict", str(tmp_path), "--previous", str(tmp_path)])


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cxr.dicom_export.write", None)
    with pytest.raises(CxrError, match=r"needs the package highdicom; pip install -r requirements-dicom\.txt"):
        main(["predict", str(tmp_path), "--dicom-out", str(tmp_path)])


def test_pydicom_reads_every_object_strictly(film: Path, tmp_path: Path) -> None:
    export(tmp_path / "out", outcome(film))
    mode = pydicom.config.settings.reading_validation_mode
    try:
        pydicom.config.settings.reading_validation_mode = pydicom.config.RAISE
        for path in (tmp_path / "out").iterdir():
            pydicom.dcmread(path).walk(lambda _, element: element.value)
    finally:
        pydicom.config.settings.reading_validation_mode = mode
