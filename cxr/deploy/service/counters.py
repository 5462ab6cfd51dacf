"""What Prometheus reads at /metrics."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Counters:
    """The figures of one service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("cxr_requests", "requests for predictions", ["status"], registry=self.registry)
        self.films = Counter("cxr_films", "films answered", ["outcome"], registry=self.registry)
        self.seconds = Histogram("cxr_request_seconds", "time to answer", buckets=SECONDS, registry=self.registry)
        self.waiting = Gauge("cxr_films_waiting", "films in the queue or at work", registry=self.registry)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)
