"""Requests and responses of the service, and SageMaker's four functions."""

import base64
import binascii
import json
import logging
import re
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from cxr.bundle.population import NOTHING, Declared, checked
from cxr.core.errors import CxrError
from cxr.films.dicom import is_dicom
from cxr.films.letterbox import Image
from cxr.predict.overlay import OUTLINE, heat_map, in_film, overlay_png
from cxr.predict.prediction import Prediction
from cxr.predict.predictor import Predictor

log = logging.getLogger(__name__)
RESEARCH_ONLY = "Research use only. Not a medical device; not for diagnosis or treatment."
MAGIC = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"BM": ".bmp", b"II*\0": ".tif", b"MM\0*": ".tif"}
JSON = "application/json"
PNG = "image/png"
RAW = ("application/octet-stream", "application/dicom", "image/jpeg", "image/png", "image/tiff", "image/bmp", "")
FORM = '{"films": [{"name": "a.dcm", "content": "<base64>", "age": 4, "view": "AP"}]}, age and view if known'


class SentFilm(NamedTuple):
    """A film sent by a client."""

    name: str
    content: bytes
    declared: Declared = NOTHING


@dataclass(frozen=True)
class Response:
    """The prediction, or None for a rejected film, and the JSON that is sent."""

    facts: dict[str, Any]
    prediction: Prediction | None


def response(film: SentFilm, predictor: Predictor, pictures: bool = False) -> Response:
    """Predict one film. A film that cannot be read gives a response with the reason, never an exception.

    Args:
        film: JPEG, PNG, TIFF, BMP or DICOM bytes; its name is only sent back.
        predictor: a loaded bundle.
        pictures: add the film, the heat map and the outline of the lungs, each as a PNG data URL.
    """
    name, address = film.name, f"film{suffix(film.content)}"
    try:
        prediction = predictor(film.content, address, film.declared)
    except CxrError as error:
        return _refusal(name, str(error).removeprefix(f"{address}: "), predictor)
    except Exception as error:  # a decoder error rejects the film; the service continues
        place, fault = traceback.extract_tb(error.__traceback__)[-1], type(error).__name__
        log.error(
            "a film could not be read: %s at %s:%s", fault, place.filename, place.lineno
        )  # the error's text may quote the film
        return _refusal(name, f"cannot be read ({fault}); export it again", predictor)
    facts = _facts(name, prediction, predictor)
    return Response(facts | ({"pictures": layers(prediction)} if pictures else {}), prediction)


def suffix(content: bytes) -> str:
    """The suffix for the bytes, which selects the decoder; empty for an unknown format."""
    if is_dicom("", content):
        return ".dcm"
    return next((name for magic, name in MAGIC.items() if content.startswith(magic)), "")


def layers(prediction: Prediction) -> dict[str, str]:
    """Film, heat map and lung outline as PNG data URLs of one size; the last two have a transparent background."""
    film, mask = in_film(prediction, prediction.picture), in_film(prediction, prediction.mask)
    heat = heat_map(prediction)
    tint = np.zeros((*film.shape[:2], 4), np.uint8)
    if heat is not None:
        inside = in_film(prediction, np.rint(heat * 255).astype(np.uint8))
        tint = np.dstack([cv2.applyColorMap(inside, cv2.COLORMAP_INFERNO), inside])
    outline = np.zeros((*film.shape[:2], 4), np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(outline, contours, -1, (*OUTLINE[::-1], 255), 2, cv2.LINE_AA)
    bgr = film if film.ndim == 2 else np.asarray(film[..., ::-1])
    return {name: _data_url(picture) for name, picture in (("film", bgr), ("heat", tint), ("lungs", outline))}


def _facts(name: str, prediction: Prediction, predictor: Predictor) -> dict[str, Any]:
    classes, threshold = predictor.config.classes, prediction.threshold
    positive = threshold is not None and prediction.probability >= threshold
    if threshold is None:
        verdict = f"Most probable class: {prediction.decision}"
    else:
        verdict = f"{classes[1].capitalize()}: {'at or above' if positive else 'below'} the threshold"
    return {
        "name": name,
        "decision": prediction.decision,
        "verdict": verdict,
        "positive": positive,
        "probability": round(prediction.probability, 6),
        "probabilities": {label: round(value, 6) for label, value in prediction.probabilities.items()},
        "threshold": threshold,
        "meaning": prediction.meaning,
        "reliable": prediction.reliable,
        "flags": [flag.text for flag in prediction.flags],
        **prediction.declared.shown,
        "bundle": predictor.version,
        "note": RESEARCH_ONLY,
    }


def _refusal(name: str, reason: str, predictor: Predictor) -> Response:
    return Response({"name": name, "rejected": reason, "bundle": predictor.version, "note": RESEARCH_ONLY}, None)


def _data_url(picture: Image) -> str:
    ok, png = cv2.imencode(".png", picture)
    if not ok:
        raise CxrError("the picture cannot be written as PNG")
    return f"data:image/png;base64,{base64.b64encode(png.tobytes()).decode()}"


def model_fn(model_dir: str) -> Predictor:
    """Load the bundle in a folder; raises CxrError if it is damaged."""
    return Predictor.load(Path(model_dir))


def input_fn(body: bytes, content_type: str = RAW[0], declared: Declared = NOTHING) -> list[SentFilm]:
    """The films of a request: the bytes of one, of which something may be declared, or JSON with base64.

    Raises:
        CxrError: the body is neither a film nor such JSON.
    """
    kind = content_type.split(";")[0].strip().lower()
    if kind in RAW:
        if not body:
            raise CxrError("the request is empty; send the bytes of a film")
        return [SentFilm("film", body, declared)]
    if kind != JSON:
        raise CxrError(f"content type {kind!r} is not supported; send {', '.join(RAW[:3])} or {JSON}")
    try:
        films = json.loads(body)["films"]
        sent = [_sent(film) for film in films]
    except CxrError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
        raise CxrError(f"the JSON has another form; expected {FORM}") from error
    if not sent:
        raise CxrError(f"no films in the request; expected {FORM}")
    return sent


def _sent(film: dict[str, Any]) -> SentFilm:
    declared = checked(film.get("age"), film.get("view"))
    return SentFilm(str(film.get("name", "film")), from_base64(film["content"]), declared)


def from_base64(text: str) -> bytes:
    """The bytes of base64 text, which may have line breaks and the prefix of a data URL; raises ValueError."""
    prefix, comma, rest = text.partition(",")
    if comma and re.fullmatch(r"\s*data:[^,]*;base64", prefix, re.IGNORECASE):
        text = rest
    return base64.b64decode("".join(text.split()), validate=True)


def predict_fn(films: Sequence[SentFilm], predictor: Predictor) -> list[Response]:
    """A prediction or a rejection for each film, in order."""
    return [response(film, predictor) for film in films]


def output_fn(answers: Sequence[Response], accept: str = JSON) -> tuple[bytes, str]:
    """The body and its content type: JSON, or the overlay of one film as PNG."""
    if PNG in accept and len(answers) == 1 and answers[0].prediction is not None:
        return overlay_png(answers[0].prediction), PNG
    facts: list[dict[str, Any]] = [one.facts for one in answers]
    return json.dumps(facts[0] if len(facts) == 1 else {"films": facts}).encode(), JSON
