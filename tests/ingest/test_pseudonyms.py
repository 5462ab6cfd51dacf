"""Patient ids are hashed with a key that never leaves the machine."""

import re
import warnings
from pathlib import Path
from typing import Any

import pytest

from cxr.core.errors import CxrError
from cxr.ingest.ingest import ingest
from cxr.ingest.pseudonyms import KEY_FILE, VARIABLE, patient_key, pseudonym
from tests.conftest import phantom, write_dicom
from tests.ingest.test_ingest import dicom_settings, run, settings, write_cohort
from tests.settings import machine

KEY = "3f1c9a5be07d4826a1c3e5f708192b4d"
# What a header may hold of a person or a place; none of it may reach an output.
SECRETS = {
    "PatientName": "Sesame^Open",
    "PatientID": "hospital-4711",
    "PatientBirthDate": "19810203",
    "PatientAddress": "12 Rhubarb Lane",
    "PatientComments": "brother of Quentin",
    "InstitutionName": "Marzipan Infirmary",
    "ReferringPhysicianName": "Doctor^Zebulon",
    "OperatorsName": "Radiographer^Yolanda",
    "AccessionNumber": "ACC998877",
    "StudyDescription": "thorax of Xenophon",
    "StudyID": "st55443322",
    "StationName": "ROOM-NAPHTALI",
    "PatientSex": "Wendeline",
    "PatientAge": "Ulrike",
    "ViewPosition": "Thaddeus",
}


def write_secret_cohort(root: Path) -> None:
    for patient in range(8):
        named = {name: value + str(patient) if name == "PatientID" else value for name, value in SECRETS.items()}
        write_dicom(root / f"film{patient}.dcm", phantom(patient)[0], bits=12, **named)
    # One film that is quarantined, and one with unexpected header values.
    rejected = {**SECRETS, "BodyPartExamined": "FOOT OF VALERIE", "PatientID": "x"}
    write_dicom(root / "film8.dcm", phantom(8)[0], bits=12, **rejected)
    rows = [f"film{number},{number % 2}" for number in range(9)]
    (root / "labels.csv").write_text("\n".join(["patientId,Target", *rows, ""]))


def secret_settings(**changes: Any) -> Any:
    return dicom_settings(label_map={"0": "normal", "1": "pneumonia"}, max_quarantined=0.5, **changes)


def test_no_output_of_ingest_contains_other_header_values(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(VARIABLE, KEY)
    with warnings.catch_warnings(action="ignore"):  # values that pydicom would not write
        write_secret_cohort(workspace / "films")
    caplog.clear()
    with caplog.at_level("DEBUG"):
        records = run(secret_settings())
    assert len(records) == 8
    assert all(re.fullmatch(r"[0-9a-f]{16}", record.patient_id) for record in records)
    assert len({record.patient_id for record in records}) == 8
    written = [path for path in Path().rglob("*") if path.is_file() and "films" not in path.parts]
    text = caplog.text + "".join(path.read_bytes().decode(errors="replace") for path in written)
    words = {word for value in SECRETS.values() for word in re.split(r"[\^ ]", value) if len(word) > 4}
    assert "quarantine.csv" in {path.name for path in written}
    assert not {word for word in words - {"thorax", "brother"} if word in text}
    assert "VALERIE" not in text


def test_the_pseudonym_depends_on_the_key() -> None:
    assert pseudonym("4711", KEY.encode()) == pseudonym("4711", KEY.encode())
    assert pseudonym("4711", KEY.encode()) != pseudonym("4711", KEY[::-1].encode())
    assert pseudonym("4711", b"") == "4711"


def test_ids_from_file_names_are_kept_unless_a_setting_hashes_them(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cohort(workspace / "films", patients=6, films=1)
    assert {record.patient_id for record in run(settings())} == {f"P{number:03d}" for number in range(6)}
    monkeypatch.setenv(VARIABLE, KEY)
    assert not any(record.patient_id.startswith("P") for record in run(settings(patient_ids="hashed")))


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", r"no key in CXR_PATIENT_KEY or \.patient_key; make one: .*secrets\.token_hex"),
        ("hospital", r"CXR_PATIENT_KEY: key too weak"),
        ("ab" * 40, r"CXR_PATIENT_KEY: key too weak"),
    ],
)
def test_the_error_for_a_missing_or_weak_key_is_one_line_with_a_remedy(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, key: str, message: str
) -> None:
    monkeypatch.setenv(VARIABLE, key)
    write_secret_cohort(workspace / "films")
    with pytest.raises(CxrError, match=message) as caught:
        ingest(secret_settings(), machine(workers=1), Path("data"))
    assert "\n" not in str(caught.value)
    assert not Path("data/manifest.csv").exists()


def test_the_key_can_be_in_a_file_of_the_main_checkout(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(KEY_FILE).write_text(KEY + "\n")
    monkeypatch.setenv("DVC_ROOT", str(workspace))
    (workspace / "elsewhere").mkdir()
    monkeypatch.chdir(workspace / "elsewhere")
    assert patient_key(secret_settings()) == KEY.encode()


def test_text_that_is_burned_into_a_film_is_reported(workspace: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_secret_cohort(workspace / "films")
    write_dicom(workspace / "films/film1.dcm", phantom(1)[0], bits=12, PatientID="d1", BurnedInAnnotation="YES")
    run(secret_settings(patient_ids="as_is"))
    assert "1 films have text burned into their pixels" in caplog.text
    assert "film1.dcm" in caplog.text
    assert '"burned_in_text": 1' in Path("data/audit.json").read_text()


def test_image_ids_are_safe_file_names(workspace: Path) -> None:
    for number, stem in enumerate(("x" * 240, "a/../b".replace("/", "\\"), "a b;c", "e\u0301", "plain", *"abcde")):
        write_dicom(workspace / f"films/{number}.dcm", phantom(number)[0], PatientID=f"d{number}")
        Path(f"films/{number}.dcm").rename(f"films/{stem}.dcm")
    rows = [f"{path.name},{index % 2}" for index, path in enumerate(sorted(Path("films").iterdir()))]
    Path("films/labels.csv").write_text("\n".join(["patientId,Target", *rows, ""]))
    ids = [record.image_id for record in run(secret_settings(patient_ids="as_is"))]
    assert len(set(ids)) == 10
    assert all(re.fullmatch(r"[\w-][\w.-]*", name) and len(name.encode()) <= 160 for name in ids)
    assert "\u00e9" in ids
