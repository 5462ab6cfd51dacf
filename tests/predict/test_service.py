"""The HTTP service in this process, with a fake predictor."""

import base64
import json
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient

from cxr.bundle.population import NOTHING, Declared
from cxr.core.errors import CxrError
from cxr.predict.service.app import create_app
from cxr.predict.service.supervisor import JsonLines
from cxr.predict.service.workers import Limits

LIMITS = Limits(max_bytes=300_000, max_films=3, queue=3, seconds=5, workers=1)
RAW = {"content-type": "application/octet-stream"}


@pytest.fixture
def client(fake: Any) -> Iterator[TestClient]:
    with TestClient(create_app(lambda: fake, LIMITS)) as client:
        yield client


def as_json(*contents: bytes) -> bytes:
    films = [{"name": f"{at}.png", "content": base64.b64encode(film).decode()} for at, film in enumerate(contents)]
    return json.dumps({"films": films}).encode()


def test_a_film_sent_as_bytes_gets_a_probability_a_decision_and_the_note_on_research_use(client, png) -> None:
    reply = client.post("/invocations", content=png, headers=RAW)
    assert reply.status_code == 200
    facts = reply.json()
    assert facts["decision"] in ("normal", "pneumonia")
    assert 0 < facts["probability"] < 1
    assert facts["flags"] == ["out of distribution: 1.20 × threshold"]
    assert facts["note"].startswith("Research use only")
    assert "pictures" not in facts


def test_several_films_as_json_are_answered_in_order_despite_a_bad_one(client, png) -> None:
    headers = {"content-type": "application/json"}
    films = client.post("/invocations", content=as_json(png, b"no film", png), headers=headers).json()["films"]
    assert [film["name"] for film in films] == ["0.png", "1.png", "2.png"]
    assert films[1]["rejected"] == "cannot be decoded as an image; replace or remove it"
    assert films[0]["probability"] == films[2]["probability"]


def test_age_and_view_come_with_a_film_and_are_sent_back_or_are_unknown(client, png) -> None:
    kind = {"content-type": "image/png"}
    answer = client.post("/invocations?age=45&view=pa", content=png, headers=kind).json()
    assert (answer["age"], answer["view"]) == ("45", "PA")
    assert client.post("/invocations", content=png, headers=kind).json()["age"] == "unknown"
    film = {"content": base64.b64encode(png).decode(), "age": 45, "view": "PA"}
    headers = {"content-type": "application/json"}
    answer = client.post("/invocations", content=json.dumps({"films": [film]}).encode(), headers=headers).json()
    assert (answer["age"], answer["view"]) == ("45", "PA")
    refused = client.post("/invocations?age=old", content=png, headers=kind)
    assert refused.status_code == 400
    assert "the age is neither years" in refused.json()["error"]


@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,", "data:application/dicom;name=a.dcm;base64,"])
def test_base64_may_have_line_breaks_and_the_prefix_of_a_data_url(client, png, prefix: str) -> None:
    headers = {"content-type": "application/json"}
    lines = prefix + base64.encodebytes(png).decode().replace("\n", "\r\n")
    body = json.dumps({"films": [{"content": lines}]}).encode()
    sent = client.post("/invocations", content=body, headers=headers).json()
    assert sent["probability"] == client.post("/invocations", content=png, headers=RAW).json()["probability"]


def test_the_overlay_is_sent_as_png_on_request(client, png) -> None:
    reply = client.post("/invocations", content=png, headers={**RAW, "accept": "image/png"})
    assert reply.headers["content-type"] == "image/png"
    assert cv2.imdecode(np.frombuffer(reply.content, np.uint8), cv2.IMREAD_COLOR).shape[2] == 3


def test_pictures_for_a_page_are_three_layers_of_one_size(client, png) -> None:
    pictures = client.post("/invocations?pictures=1", content=png, headers=RAW).json()["pictures"]
    assert list(pictures) == ["film", "heat", "lungs"]
    content = [base64.b64decode(url.partition(",")[2]) for url in pictures.values()]
    decoded = [cv2.imdecode(np.frombuffer(one, np.uint8), cv2.IMREAD_UNCHANGED) for one in content]
    assert len({picture.shape[:2] for picture in decoded}) == 1
    assert decoded[2][..., 3].any()


@pytest.mark.parametrize(
    ("body", "kind", "status", "reason"),
    [
        (b"", "application/octet-stream", 400, "the request is empty"),
        (b"no film", "application/octet-stream", 422, "cannot be decoded"),
        (b"{", "application/json", 400, "the JSON has another form"),
        (b'{"films": []}', "application/json", 400, "no films in the request"),
        (b'{"films": [{"content": "!!"}]}', "application/json", 400, "the JSON has another form"),
        (b'{"films": [{"content": "data:image/png,AAAA"}]}', "application/json", 400, "the JSON has another form"),
        (b'{"films": [{"content": 7}]}', "application/json", 400, "the JSON has another form"),
        (b"[" * 100_000, "application/json", 400, "the JSON has another form"),
        (b"x", "text/csv", 400, "content type 'text/csv' is not supported"),
        (bytes(300_001), "application/octet-stream", 413, "larger than 0 MB"),
    ],
)
def test_a_bad_request_gets_a_4xx_with_its_reason(client, body: bytes, kind: str, status: int, reason: str) -> None:
    reply = client.post("/invocations", content=body, headers={"content-type": kind})
    assert reply.status_code == status
    assert reason in reply.json()["error"]


@pytest.mark.parametrize("body", [b"", b"no film", bytes(300_001)])
def test_a_batch_transform_answers_a_rejected_film_with_200_and_the_reason(fake: Any, body: bytes) -> None:
    with TestClient(create_app(lambda: fake, replace(LIMITS, batch=True))) as client:
        reply = client.post("/invocations", content=body, headers=RAW)
    assert reply.status_code == 200
    assert reply.json()["rejected"]


@pytest.mark.parametrize(("megabytes", "workers", "together"), [(100, 4, 1), (20, 4, 4), (30, 8, 3), (1, 2, 2)])
def test_the_execution_parameters_of_a_batch_transform_keep_within_the_limit_of_aws(
    fake: Any, megabytes: int, workers: int, together: int
) -> None:
    with TestClient(create_app(lambda: fake, Limits(max_bytes=megabytes * 2**20, workers=workers))) as client:
        facts = client.get("/execution-parameters").json()
    assert facts == {
        "MaxConcurrentTransforms": together,
        "BatchStrategy": "SINGLE_RECORD",
        "MaxPayloadInMB": megabytes,
    }


def test_reading_a_body_without_a_length_stops_at_the_limit(client) -> None:
    reply = client.post("/invocations", content=(bytes(100_000) for _ in range(4)), headers=RAW)
    assert reply.status_code == 413


def test_more_films_than_the_limit_are_rejected(client, png) -> None:
    headers = {"content-type": "application/json"}
    reply = client.post("/invocations", content=as_json(*[png] * 4), headers=headers)
    assert (reply.status_code, reply.json()["error"]) == (413, "4 films; at most 3 a request")


def test_a_full_queue_is_answered_with_503_and_retry_after(fake: Any, png: bytes) -> None:
    free = threading.Event()

    class Slow:
        version, config = fake.version, fake.config

        def __call__(self, film: bytes, name: str = "", declared: Declared = NOTHING) -> Any:
            free.wait(60)
            return fake(film, name)

    app = create_app(Slow, Limits(queue=1, workers=1, warm_up=False))
    with TestClient(app) as client:
        replies: list[Any] = []
        first = threading.Thread(target=lambda: replies.append(client.post("/invocations", content=png, headers=RAW)))
        first.start()
        while "cxr_films_waiting 1.0" not in client.get("/metrics").text:
            time.sleep(0.01)
        busy = client.post("/invocations", content=png, headers=RAW)
        free.set()
        first.join()
    assert busy.status_code == 503
    assert busy.headers["retry-after"] == "1"
    assert replies[0].status_code == 200


def test_a_decoder_error_is_a_rejection_and_not_a_5xx(fake: Any, png: bytes, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        version, config = fake.version, fake.config

        def __call__(self, film: bytes, name: str = "", declared: Declared = NOTHING) -> Any:
            raise ZeroDivisionError("secret of the film")

    with TestClient(create_app(Broken, LIMITS)) as client:
        reply = client.post("/invocations", content=png, headers=RAW)
    assert "a film could not be read: ZeroDivisionError at " in caplog.text
    assert "secret" not in caplog.text  # however the records are formatted
    assert reply.status_code == 422
    assert reply.json() == {"error": "cannot be read (ZeroDivisionError); export it again"}


def test_no_request_is_accepted_before_the_model_is_loaded_and_warm(fake: Any) -> None:
    done: list[str] = []

    class Cold:
        version, config = fake.version, fake.config

        def __call__(self, film: bytes, name: str = "", declared: Declared = NOTHING) -> Any:
            done.append("warm")
            return fake(film, name)

    def load() -> Any:
        done.append("loaded")
        return Cold()

    with TestClient(create_app(load, LIMITS)) as client:
        assert done == ["loaded", "warm"]
        assert client.get("/ping").status_code == 200


def test_a_service_without_a_model_does_not_start() -> None:
    def load() -> Any:
        raise CxrError("models/bundle/classifier.onnx: altered")

    with pytest.raises(CxrError, match="altered"), TestClient(create_app(load, LIMITS)):
        pass


def test_a_request_is_read_and_discarded_while_the_queue_is_full(fake: Any, png: bytes) -> None:
    app = create_app(lambda: fake, Limits(queue=0, max_bytes=300_000, warm_up=False))
    with TestClient(app) as client:
        busy = client.post("/invocations", content=png, headers=RAW)
        assert (busy.status_code, busy.headers["retry-after"]) == (503, "1")
        assert client.post("/invocations", content=bytes(300_001), headers=RAW).status_code == 413


def test_metrics_report_requests_films_and_times(client, png) -> None:
    client.post("/invocations", content=png, headers=RAW)
    client.post("/invocations", content=b"no film", headers=RAW)
    text = client.get("/metrics").text
    assert 'cxr_requests_total{status="200"} 1.0' in text
    assert 'cxr_requests_total{status="422"} 1.0' in text
    assert 'cxr_films_total{outcome="read"} 1.0' in text
    assert "cxr_request_seconds_count 2.0" in text


def test_the_log_contains_neither_name_nor_text_of_a_film(client, png, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    body = as_json(png).replace(b"0.png", b"Jane_Doe_1950.png")
    client.post("/invocations", content=body, headers={"content-type": "application/json"})
    lines = [JsonLines().format(record) for record in caplog.records]
    assert not any("Jane" in line for line in lines)
    entry = next(json.loads(line) for line in lines if json.loads(line).get("films"))
    assert {"time", "level", "message", "status", "films", "seconds"} <= set(entry)


def test_a_logged_error_has_type_and_place_but_not_the_text_of_the_exception() -> None:
    try:
        raise ValueError("PatientName Jane Doe")
    except ValueError:
        record = logging.getLogger("x").makeRecord(
            "x", logging.ERROR, "f", 1, "failed", (), exc_info=__import__("sys").exc_info()
        )
    line = JsonLines().format(record)
    assert "Jane" not in line
    assert json.loads(line)["fault"] == "ValueError"


def test_the_page_sends_no_request_to_other_hosts(client) -> None:
    reply = client.get("/")
    assert "default-src 'self'" in reply.headers["content-security-policy"]
    assert "Research use only" in reply.text
    for name in ("page.css", "page.js"):
        text = client.get(f"/static/{name}").text
        assert "http://" not in text
        assert "https://" not in text


def test_the_model_card_and_the_bundle_can_be_read(client) -> None:
    assert client.get("/model-card").text == "# Card"
    about = client.get("/about").json()
    assert about["bundle"] == "0123456789abcdef"
    assert about["population"] == {"age": [1.0, 5.0], "views": ["AP"], "description": {}}
