"""What one service instance takes on."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds that keep memory flat and waiting times short."""

    max_bytes: int = 32_000_000  # of a request's body
    max_films: int = 64  # of a request
    queue: int = 64  # films waiting or at work; one more is answered with 503
    seconds: float = 20.0  # for one film, its wait included
    workers: int = os.cpu_count() or 1  # films at work at one time
    retry_after: int = 1  # seconds, what a 503 asks the client to wait
    warm_up: bool = True  # read one synthetic film before the first request
