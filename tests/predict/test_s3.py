"""Films on S3, on a real server of this machine."""

import sys
from pathlib import Path

import boto3
import pytest

from cxr.core.errors import CxrError
from cxr.predict.batch import predict_into
from cxr.predict.inputs import find_films
from cxr.predict.predictor import Predictor
from testing.seaweed import ACCESS_KEY, SECRET_KEY, SeaweedFS
from tests.bundles import Project
from tests.conftest import phantom, write_dicom


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    server = SeaweedFS(tmp_path_factory.mktemp("seaweed"))
    with server.running():
        yield server


def test_a_prefix_and_a_folder_give_the_same_predictions(
    server: SeaweedFS,
    project: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL_S3": server.url, "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": "eu-central-1", "AWS_EC2_METADATA_DISABLED": "true",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="films")
    folder = project.root / "films/test"
    for path in sorted(folder.rglob("*.*")):
        client.upload_file(str(path), "films", f"in/{path.relative_to(folder).as_posix()}")
    client.put_object(Bucket="films", Key="in/notes.txt", Body=b"no film")
    client.put_object(Bucket="films", Key="in2/film.png", Body=b"a film of another folder")
    monkeypatch.setitem(sys.modules, "s3fs", None)  # boto3 does it all
    client.put_object(Bucket="films", Key="in/empty", Body=b"")
    dicom = write_dicom(folder / "1.2.840.113619.2.55", phantom(20, 320, 280)[0])
    client.upload_file(str(dicom), "films", f"in/{dicom.name}")
    request.addfinalizer(dicom.unlink)  # the project is shared
    predictor = Predictor.load(project.bundle)
    local = predict_into(tmp_path / "local.csv", predictor, [str(folder)], workers=2)
    remote = predict_into(tmp_path / "remote.csv", predictor, ["s3://films/in"], workers=2)
    assert [record.row["logit"] for record in remote] == [record.row["logit"] for record in local]
    assert any(record.row["film"].endswith("/1.2.840.113619.2.55") for record in remote)
    assert all(record.row["film"].startswith("s3://films/in/") for record in remote)
    one = remote[0].row["film"]
    assert [film.address for film in find_films([one])] == [one]
    with pytest.raises(CxrError, match="no film"):
        find_films(["s3://films/nowhere"])
