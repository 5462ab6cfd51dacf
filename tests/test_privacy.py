"""No name of a DICOM header leaves it: not into any file of the pipeline, not into any line, not into an answer."""

import base64
import json
import logging
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from fastapi.testclient import TestClient
from pydicom.dataset import Dataset
from ruamel.yaml import YAML

from cxr.core.errors import CxrError
from cxr.films.read import Source, decode
from cxr.ingest.pseudonyms import VARIABLE
from cxr.predict.batch import predict_into
from cxr.predict.predictor import Predictor
from cxr.predict.service.app import create_app
from cxr.predict.service.supervisor import JsonLines
from cxr.predict.service.workers import Limits
from tests.bundles import Project
from tests.conftest import phantom, write_dicom
from tests.ingest.test_privacy import KEY, NAME, fill
from tests.test_pipeline import clone, sh

ENCODINGS = ("utf-8", "utf-16-le", "utf-32-le")  # numpy keeps text as UTF-32
RAW = {"content-type": "application/octet-stream"}
DATA = {
    "root": "films",
    "layout": "dicom",
    "patient_from": "dicom",
    "path_pattern": "none",
    "masks_dir": "none",
    "labels_csv": "labels.csv",
    "max_quarantined": 0.5,
}
# Values that are read on the way to the pixels, and that the writer of DICOM files would refuse.
ODD = {
    "WindowCenter": b"128.125 ",
    "RescaleSlope": b"1.00001 ",
    "PatientAge": b"012Y",
    "VOILUTFunction": b"LINEAR",
    "PhotometricInterpretation": b"MONOCHROME2 ",
    "TransferSyntaxUID": b"1.2.840.10008.1.2.1\0",
    "SpecificCharacterSet": b"ISO_IR 100",
}


def named_film(path: Path, seed: int) -> Path:
    """A film whose every text is a name: plain and private attributes, a sequence, preamble, file head."""
    tags = {"WindowWidth": "256", "WindowCenter": "128.125", "RescaleSlope": "1.00001", "RescaleIntercept": "0"}
    tags |= {"PatientAge": "012Y", "SpecificCharacterSet": "ISO_IR 100", "VOILUTFunction": "LINEAR"}
    write_dicom(path, phantom(seed, 320, 280)[0], PatientID=f"{NAME}{seed // 2}", **tags)
    dataset = pydicom.dcmread(path)
    fill(dataset)
    item = Dataset()
    item.PatientName = item.RequestedProcedureDescription = NAME
    dataset.RequestAttributesSequence = [item]
    dataset.private_block(0x0041, NAME, create=True).add_new(1, "LO", NAME)
    dataset.preamble = NAME.encode().ljust(128, b" ")
    dataset.file_meta.SourceApplicationEntityTitle = dataset.file_meta.ImplementationVersionName = NAME
    dataset.save_as(path)
    return path


def odd_films(content: bytes) -> dict[str, bytes]:
    """The film with a name in place of a value that is read, cut short, and damaged at random."""
    found = {}
    for keyword, value in ODD.items():
        assert value in content, keyword
        found[keyword] = content.replace(value, NAME.encode()[: len(value)].ljust(len(value), b" "))
    random = np.random.default_rng(5)
    for number in range(60):
        found[f"cut{number}"] = content[: int(random.integers(len(content)))]
        damaged = np.frombuffer(content, np.uint8).copy()
        damaged[random.integers(132, 6000, 12)] = random.integers(0, 256, 12)
        found[f"damaged{number}"] = damaged.tobytes()
    return found


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of the whole pipeline on films that name people, and all that can be written about them."""
    folder = clone(tmp_path_factory.mktemp("privacy"), workers=1)
    rows = []
    for index in range(48):
        named_film(folder / f"films/{index:02d}.dcm", index)
        rows.append((f"{index:02d}.dcm", index // 2 % 2))
    for name, content in odd_films((folder / "films/00.dcm").read_bytes()).items():
        if name in ODD:
            (folder / f"films/{name}.dcm").write_bytes(content)
            rows.append((f"{name}.dcm", 0))
    pd.DataFrame(rows, columns=["path", "label"]).to_csv(folder / "films/labels.csv", index=False)
    params = YAML().load(folder / "params.yaml")
    params["data"].update(DATA)
    params["evaluate"]["subgroups"] = ["sex", "view", "age"]
    YAML().dump(params, folder / "params.yaml")
    said = []
    for command in (
        "dvc repro",
        "python -m cxr report",
        "python -m cxr model-card",
        "python -m cxr check",
        "python -m cxr predict films --bundle models/bundle --out answers.csv --overlays overlays --workers 1",
    ):
        done = sh(*command.split(), cwd=folder, **{VARIABLE: KEY})
        assert done.returncode == 0, done.stderr
        said += [done.stdout, done.stderr]
    (folder / "said.txt").write_text("".join(said), encoding="utf-8")
    return folder


def inside(path: Path) -> Iterator[bytes]:
    """The bytes of a file, and those of what is packed in it."""
    yield path.read_bytes()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield from (archive.read(name) for name in archive.namelist())
    elif tarfile.is_tarfile(path):
        with tarfile.open(path) as archive:
            yield from (archive.extractfile(one).read() for one in archive if one.isfile())


def names(content: bytes) -> bool:
    return any(NAME.encode(encoding) in content for encoding in ENCODINGS)


@pytest.mark.slow
def test_no_file_that_the_pipeline_or_a_tool_writes_names_anybody(repository: Path) -> None:
    own = (".git", "films")
    files = [
        path for path in repository.rglob("*") if path.is_file() and path.relative_to(repository).parts[0] not in own
    ]
    kinds = {path.suffix for path in files}
    assert {".npz", ".npy", ".png", ".csv", ".json", ".ckpt", ".onnx", ".gz", ".html", ".md", ".txt"} <= kinds
    assert [str(path) for path in files if any(map(names, inside(path)))] == []
    refused = pd.read_csv(repository / "data/quarantine.csv")
    assert {"films/WindowCenter.dcm", "films/TransferSyntaxUID.dcm"} <= set(refused["path"])
    assert any(map(names, inside(repository / "films/00.dcm")))  # the search finds what is there


def test_nothing_that_is_wrong_with_a_film_is_told_in_the_words_of_its_header(tmp_path: Path) -> None:
    content = named_film(tmp_path / "a.dcm", 1).read_bytes()
    said = []
    for film in odd_films(content).values():
        try:
            decode(Source("a.dcm", film))
        except CxrError as error:
            said.append(str(error))
    assert len(said) > 50
    assert [line for line in said if NAME in line or not line.isprintable() or "; " not in line] == []


def test_the_library_that_reads_dicom_says_nothing_itself(tmp_path: Path) -> None:
    """In a process of its own: pytest keeps warnings for itself."""
    path = named_film(tmp_path / "a.dcm", 1)
    path.write_bytes(odd_films(path.read_bytes())["SpecificCharacterSet"])
    ours = f"from cxr.films.dicom import dicom_tag; dicom_tag('', open({str(path)!r}, 'rb').read(), 'PatientName')"
    its_own = f"import pydicom; pydicom.dcmread({str(path)!r}).PatientName"
    quiet, loud = (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr
        for code in (ours, its_own)
    )
    assert quiet == ""
    assert NAME in loud


def test_neither_answers_nor_log_lines_of_the_service_name_anybody(
    project: Project, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    predictor = Predictor.load(project.bundle)
    film = named_film(tmp_path / "a.dcm", 1).read_bytes()
    with TestClient(create_app(lambda: predictor, Limits(warm_up=False, workers=1))) as client:
        replies = [client.post("/invocations?pictures=true", content=film, headers=RAW)]
        replies += [client.post("/invocations", content=odd, headers=RAW) for odd in odd_films(film).values()]
        named = {"films": [{"name": f"{NAME}.dcm", "content": base64.b64encode(film).decode()}]}
        own = client.post("/invocations", content=json.dumps(named), headers={"content-type": "application/json"})
        told = [client.get(page).content for page in ("/metrics", "/about", "/model-card", "/ping")]
    assert {reply.status_code for reply in replies} == {200, 422}
    assert own.json()["name"] == f"{NAME}.dcm"  # to the one who said it
    assert not any(names(content) for content in [*told, *(reply.content for reply in replies)])
    assert len(caplog.records) > len(replies)
    assert NAME not in "".join([caplog.text, *map(JsonLines().format, caplog.records), *capfd.readouterr()])


def test_log_lines_of_the_predictor_name_no_film(
    project: Project, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for number in range(3):
        path = named_film(tmp_path / f"films/{NAME}{number}.dcm", number)
        odd = odd_films(path.read_bytes())
        path.write_bytes([path.read_bytes(), odd["VOILUTFunction"], odd["cut0"]][number])
    predict_into(tmp_path / "out.csv", Predictor.load(project.bundle), [str(tmp_path / "films")], 1)
    rows = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)
    assert rows["film"].str.contains(NAME).all()  # the table says which film each row is of
    assert not rows.drop(columns="film").astype(str).apply(lambda column: column.str.contains(NAME)).any(axis=None)
    assert "rejected: 1" in caplog.text  # the film whose VOILUTFunction is a name is read without its window
    assert NAME not in caplog.text
