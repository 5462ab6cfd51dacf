"""The HTTP service: /ping and /invocations as SageMaker asks for them, /metrics, and a page at /."""

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

from cxr.core.errors import CxrError
from cxr.deploy.answers import RESEARCH_ONLY, answer
from cxr.deploy.inference import JSON, input_fn, output_fn
from cxr.deploy.predictor import Predictor
from cxr.deploy.service.counters import Counters
from cxr.deploy.service.limits import Limits
from cxr.deploy.service.work import Busy, Workers

log = logging.getLogger(__name__)
STATIC = Path(__file__).parent / "static"
POLICY = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"


class TooLarge(Exception):
    """A request's body is over the limit."""


def create_app(load: Callable[[], Predictor], card: str, limits: Limits) -> FastAPI:
    """The application.

    Args:
        load: makes the predictor, in the background; /ping answers 503 until it has.
        card: the bundle's model card, Markdown.
        limits: what one instance takes on.
    """
    counters, workers = Counters(), Workers(limits)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.predictor = None
        loading = asyncio.create_task(_load(app, load, limits.warm_up))
        yield
        loading.cancel()
        workers.close()

    app = FastAPI(title="cxr-pneumonia", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.middleware("http")(_safe_headers)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(STATIC / "page.html")

    @app.get("/ping")
    def ping() -> Response:
        return Response(status_code=200 if app.state.predictor else 503)

    @app.get("/metrics")
    def metrics() -> PlainTextResponse:
        counters.waiting.set(workers.waiting)
        return PlainTextResponse(counters.text().decode())

    @app.get("/about")
    def about() -> Response:
        predictor = app.state.predictor
        if predictor is None:
            return _error(503, "the model is loading", limits)
        facts = {
            "bundle": predictor.version,
            "classes": predictor.config.classes,
            "backbone": predictor.config.backbone,
        }
        return JSONResponse({**facts, "max_bytes": limits.max_bytes, "note": RESEARCH_ONLY})

    @app.get("/model-card")
    def model_card() -> PlainTextResponse:
        return PlainTextResponse(card)

    @app.post("/invocations")
    async def invocations(request: Request, pictures: bool = False) -> Response:
        started = time.perf_counter()
        response, films = await _invoke(request, pictures)
        seconds = time.perf_counter() - started
        counters.requests.labels(response.status_code).inc()
        counters.seconds.observe(seconds)
        fields = {"status": response.status_code, "films": films, "seconds": round(seconds, 4)}
        log.info("invocations", extra={"fields": fields})
        return response

    async def _invoke(request: Request, pictures: bool) -> tuple[Response, int]:
        predictor = app.state.predictor
        if predictor is None:
            return _error(503, "the model is loading", limits), 0
        try:
            films = input_fn(await _body(request, limits.max_bytes), request.headers.get("content-type", ""))
            if len(films) > limits.max_films:
                raise TooLarge(f"{len(films)} films; at most {limits.max_films} a request")
            read = functools.partial(answer, predictor=predictor, pictures=pictures)
            answers = await workers.map(lambda film: read(film.name, film.content), films)
        except CxrError as error:
            return _error(400, str(error), limits), 0
        except TooLarge as error:
            return _error(413, str(error), limits), 0
        except Busy as error:
            return _error(503, str(error), limits), 0
        for one in answers:
            counters.films.labels("refused" if one.prediction is None else "read").inc()
        if len(answers) == 1 and answers[0].prediction is None:
            return _error(422, answers[0].facts["refused"], limits), 1
        body, kind = output_fn(answers, request.headers.get("accept", JSON))
        return Response(body, media_type=kind), len(answers)

    return app


async def _load(app: FastAPI, load: Callable[[], Predictor], warm_up: bool) -> None:
    """Load and warm the model; a fault ends the process, since a service without a model is of no use."""
    try:
        predictor = await asyncio.to_thread(load)
        if warm_up:
            await asyncio.to_thread(answer, "warm-up", _synthetic_film(), predictor, True)
        app.state.predictor = predictor
    except Exception as error:
        log.error("the bundle cannot be loaded: %s", error)
        raise SystemExit(1) from error
    log.info("ready")


def _synthetic_film() -> bytes:
    """A PNG of two dark ovals on a bright ground."""
    film = np.full((512, 512), 180, np.uint8)
    for centre in (150, 362):
        cv2.ellipse(film, (centre, 256), (80, 170), 0, 0, 360, 60, -1)
    ok, png = cv2.imencode(".png", cv2.blur(film, (31, 31)))
    assert ok
    return png.tobytes()


async def _body(request: Request, limit: int) -> bytes:
    """The body, given up as soon as it is over the limit."""
    if int(request.headers.get("content-length") or 0) > limit:
        raise TooLarge(f"the request is larger than {limit / 1e6:.0f} MB")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > limit:
            raise TooLarge(f"the request is larger than {limit / 1e6:.0f} MB")
    return bytes(body)


async def _safe_headers(request: Request, go: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await go(request)
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-store"
    return response


def _error(status: int, reason: str, limits: Limits) -> JSONResponse:
    headers = {"Retry-After": str(limits.retry_after)} if status == 503 else {}
    return JSONResponse({"error": reason}, status, headers)
