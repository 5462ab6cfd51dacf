"""Requests in, answers out: the four functions that SageMaker's serving toolkits call, which the service uses too."""

import base64
import binascii
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cxr.core.errors import CxrError
from cxr.deploy.answers import Answer, answer
from cxr.deploy.overlay import overlay_png
from cxr.deploy.predictor import Predictor

JSON = "application/json"
PNG = "image/png"
RAW = ("application/octet-stream", "application/dicom", "image/jpeg", "image/png", "image/tiff", "image/bmp", "")
FORM = '{"films": [{"name": "a.dcm", "content": "<base64>"}]}'


class SentFilm(NamedTuple):
    """A film as a client sent it."""

    name: str
    content: bytes


def model_fn(model_dir: str) -> Predictor:
    """Load the bundle in a folder; raises CxrError when it is damaged."""
    return Predictor.load(Path(model_dir))


def input_fn(body: bytes, content_type: str = RAW[0]) -> list[SentFilm]:
    """The films of a request: the bytes of one, or JSON with base64.

    Raises:
        CxrError: the body is no film and no such JSON.
    """
    kind = content_type.split(";")[0].strip().lower()
    if kind in RAW:
        if not body:
            raise CxrError("the request is empty; send the bytes of a film")
        return [SentFilm("film", body)]
    if kind != JSON:
        raise CxrError(f"content type {kind!r} is not known; send {', '.join(RAW[:3])} or {JSON}")
    try:
        films = json.loads(body)["films"]
        sent = [
            SentFilm(str(film.get("name", "film")), base64.b64decode(film["content"], validate=True)) for film in films
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
        raise CxrError(f"the JSON has another form; expected {FORM}") from error
    if not sent:
        raise CxrError(f"no films in the request; expected {FORM}")
    return sent


def predict_fn(films: Sequence[SentFilm], predictor: Predictor) -> list[Answer]:
    """An answer or a refusal for each film, in order."""
    return [answer(film.name, film.content, predictor) for film in films]


def output_fn(answers: Sequence[Answer], accept: str = JSON) -> tuple[bytes, str]:
    """The body and its content type: JSON, or for one film that was read the overlay as PNG."""
    if PNG in accept and len(answers) == 1 and answers[0].prediction is not None:
        return overlay_png(answers[0].prediction), PNG
    facts: list[dict[str, Any]] = [one.facts for one in answers]
    return json.dumps(facts[0] if len(facts) == 1 else {"films": facts}).encode(), JSON
