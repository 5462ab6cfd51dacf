"""The HTTP service over a predictor, and its counters."""

import asyncio
import functools
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import cv2
import numpy as np
from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from cxr.bundle.population import checked
from cxr.core.errors import CxrError
from cxr.predict.predictor import Predictor
from cxr.predict.service.access import Access
from cxr.predict.service.requests import JSON, RESEARCH_ONLY, SentFilm, input_fn, output_fn, response
from cxr.predict.service.workers import Busy, Limits, Workers

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
TRANSFORM_MB = 100
ANYONE = Access()
log = logging.getLogger(__name__)
STATIC = Path(__file__).parent / "static"
POLICY = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"


class Counters:
    """The Prometheus metrics of one service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("cxr_requests", "requests for predictions", ["status"], registry=self.registry)
        self.films = Counter("cxr_films", "films answered", ["outcome"], registry=self.registry)
        self.seconds = Histogram("cxr_request_seconds", "time to answer", buckets=SECONDS, registry=self.registry)
        self.waiting = Gauge("cxr_films_waiting", "films in the queue or at work", registry=self.registry)

    def text(self) -> bytes:
        """The metrics in Prometheus' exposition format."""
        return generate_latest(self.registry)


class TooLarge(Exception):
    """The body of a request exceeds the limit."""


def create_app(load: Callable[[], Predictor], limits: Limits, access: Access = ANYONE) -> FastAPI:
    """The application. It takes no request before the model is loaded and warm.

    Args:
        load: makes the predictor.
        limits: what one instance takes on.
        access: what a request must show.
    """
    counters, workers = Counters(), Workers(limits)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.predictor = await asyncio.to_thread(_loaded, load, limits.warm_up)
        log.info("ready", extra={"fields": {"bundle": app.state.predictor.version}})
        yield
        workers.close()

    app = FastAPI(title="cxr-pneumonia", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.middleware("http")(functools.partial(_guarded, access))
    app.mount("/static", StaticFiles(directory=STATIC), name="static")

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(STATIC / "page.html")

    @app.get("/ping")
    def ping() -> Response:
        return Response(status_code=200)

    @app.get("/metrics")
    def metrics() -> PlainTextResponse:
        counters.waiting.set(workers.waiting)
        return PlainTextResponse(counters.text().decode())

    @app.get("/execution-parameters")
    def execution_parameters() -> Response:
        # AWS limits all concurrent requests of a batch transform to 100 MB together.
        megabytes = max(1, min(TRANSFORM_MB, limits.max_bytes // 2**20))
        together = max(1, min(limits.workers, TRANSFORM_MB // megabytes))
        facts = {"MaxConcurrentTransforms": together, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": megabytes}
        return JSONResponse(facts)

    @app.get("/about")
    def about() -> Response:
        predictor: Predictor = app.state.predictor
        facts = {
            "bundle": predictor.version,
            "classes": predictor.config.classes,
            "backbone": predictor.config.backbone,
            "population": predictor.config.population.model_dump(),
        }
        return JSONResponse({**facts, "max_bytes": limits.max_bytes, "note": RESEARCH_ONLY})

    @app.get("/model-card")
    def model_card() -> PlainTextResponse:
        return PlainTextResponse(app.state.predictor.card)

    @app.post("/invocations")
    async def invocations(request: Request, pictures: bool = False, age: str = "", view: str = "") -> Response:
        started = time.perf_counter()
        response, films = await _invoke(request, pictures, age, view)
        seconds = time.perf_counter() - started
        counters.requests.labels(response.status_code).inc()
        counters.seconds.observe(seconds)
        fields = {"status": response.status_code, "films": films, "seconds": round(seconds, 4)}
        log.info("invocations", extra={"fields": fields})
        return response

    async def _invoke(request: Request, pictures: bool, age: str, view: str) -> tuple[Response, int]:
        read = functools.partial(response, predictor=app.state.predictor, pictures=pictures)
        try:
            body = await _body(request, limits.max_bytes, keep=not workers.full)
            films = input_fn(body, request.headers.get("content-type", ""), checked(age, view))
            if len(films) > limits.max_films:
                raise TooLarge(f"{len(films)} films; at most {limits.max_films} a request")
            answers = await workers.map(read, films)
        except CxrError as error:
            return _rejected(400, str(error), limits), 0
        except TooLarge as error:
            return _rejected(413, str(error), limits), 0
        except Busy as error:
            return _error(503, str(error), limits), 0
        for one in answers:
            counters.films.labels("rejected" if one.prediction is None else "read").inc()
        if len(answers) == 1 and answers[0].prediction is None:
            return _rejected(422, answers[0].facts["rejected"], limits), 1
        body, kind = output_fn(answers, request.headers.get("accept", JSON))
        return Response(body, media_type=kind), len(answers)

    return app


def _loaded(load: Callable[[], Predictor], warm_up: bool) -> Predictor:
    predictor = load()
    if warm_up:
        response(SentFilm("warm-up", _synthetic_film()), predictor, pictures=True)
    return predictor


def _synthetic_film() -> bytes:
    """A PNG of two dark ovals on a bright ground."""
    film = np.full((512, 512), 180, np.uint8)
    for centre in (150, 362):
        cv2.ellipse(film, (centre, 256), (80, 170), 0, 0, 360, 60, -1)
    ok, png = cv2.imencode(".png", cv2.blur(film, (31, 31)))
    assert ok
    return png.tobytes()


async def _body(request: Request, limit: int, keep: bool) -> bytes:
    """The body; reading stops at the limit. While the queue is full, the body is read and discarded.

    Raises:
        TooLarge: it exceeds the limit.
        Busy: the queue is full.
    """
    if int(request.headers.get("content-length") or 0) > limit:
        raise TooLarge(f"the request is larger than {limit / 1e6:.0f} MB")
    body, length = bytearray(), 0
    async for part in request.stream():
        length += len(part)
        if length > limit:
            raise TooLarge(f"the request is larger than {limit / 1e6:.0f} MB")
        if keep:
            body += part
    if not keep:
        raise Busy("the queue is full")
    return bytes(body)


async def _guarded(access: Access, request: Request, go: Callable[[Request], Awaitable[Response]]) -> Response:
    sent = request.headers
    refusal = access.refusal(request.url.path, sent.get("host", ""), sent.get("authorization", ""))
    if refusal is None:
        response = await go(request)
    else:
        status, reason = refusal
        headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
        response = JSONResponse({"error": reason}, status, headers)
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-store"
    return response


def _rejected(status: int, reason: str, limits: Limits) -> JSONResponse:
    return JSONResponse({"rejected": reason, "note": RESEARCH_ONLY}) if limits.batch else _error(status, reason, limits)


def _error(status: int, reason: str, limits: Limits) -> JSONResponse:
    headers = {"Retry-After": str(limits.retry_after)} if status == 503 else {}
    return JSONResponse({"error": reason}, status, headers)
