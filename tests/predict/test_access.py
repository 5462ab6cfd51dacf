"""Who may ask the service: token and Host header, on a loopback address, in a network and on SageMaker."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from cxr.__main__ import main
from cxr.core.errors import CxrError
from cxr.predict.service.access import Access, access_for
from cxr.predict.service.app import create_app
from cxr.predict.service.workers import Limits
from tests.bundles import ROOT

RAW = {"content-type": "application/octet-stream"}
TOKEN = "correct-horse"


def rules(host: str = "0.0.0.0", token: str = TOKEN, is_open: bool = False, platform: str = "") -> Access:
    return access_for(host, token, is_open, ["films.example.org"], platform)


def test_without_a_token_nobody_in_the_network_gets_a_prediction(fake: Any, png: bytes) -> None:
    with TestClient(create_app(lambda: fake, Limits(), rules()), base_url="http://localhost") as client:
        for wrong in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Bearer ü".encode()}):
            reply = client.post("/invocations", content=png, headers={**RAW, **wrong})
            assert (reply.status_code, reply.headers["www-authenticate"]) == (401, "Bearer")
        assert client.get("/metrics").status_code == client.get("/about").status_code == 401
        assert client.get("/").status_code == client.get("/ping").status_code == 200
        right = {**RAW, "authorization": f"Bearer {TOKEN}"}
        assert client.post("/invocations", content=png, headers=right).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8080", 200),
        ("127.0.0.1:8080", 200),
        ("[::1]:8080", 200),
        ("10.0.0.7", 200),
        ("FILMS.example.org", 200),
        ("evil.example.org", 400),
        ("localhost.evil.org", 400),
        ("[", 400),
    ],
)
def test_a_name_that_the_service_does_not_have_is_refused(fake: Any, host: str, status: int) -> None:
    with TestClient(create_app(lambda: fake, Limits(), rules("127.0.0.1", token=""))) as client:
        assert client.get("/about", headers={"host": host}).status_code == status
        assert client.get("/ping", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "films.example.org", ""])
def test_a_service_in_the_network_does_not_start_without_a_token_unless_it_is_open(host: str) -> None:
    with pytest.raises(CxrError, match="CXR_SERVICE_TOKEN, or --open"):
        rules(host, token="")
    assert rules(host, token="", is_open=True).token == ""


def test_the_command_reads_the_token_from_the_environment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXR_SERVICE_TOKEN", raising=False)
    monkeypatch.delenv("CXR_PLATFORM", raising=False)
    started: list[Access] = []
    monkeypatch.setattr("cxr.predict.service.supervisor.supervise", lambda *values: started.append(values[2]))
    monkeypatch.setattr("cxr.predict.service.supervisor.log_as_json", lambda: None)
    serve = ["serve", "--bundle", str(ROOT / "models/chest_xray"), "--host", "0.0.0.0"]
    with pytest.raises(CxrError, match="takes requests from the network"):
        main(serve)
    monkeypatch.setenv("CXR_SERVICE_TOKEN", TOKEN)
    main(serve)
    assert started[0].token == TOKEN
    assert TOKEN not in repr(started[0])


def test_on_sagemaker_neither_token_nor_host_is_asked_for(fake: Any) -> None:
    access = rules("0.0.0.0", token="", platform="sagemaker")
    with TestClient(create_app(lambda: fake, Limits(), access)) as client:
        assert client.get("/about", headers={"host": "anything"}).status_code == 200
