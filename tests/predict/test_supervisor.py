"""The supervisor of the service's worker."""

import threading
import time
from typing import Any

import uvicorn

from cxr.predict.service.supervisor import Worker


class Hung(Worker):
    """Never gives a sign of life."""

    def always_pong(self) -> None:
        time.sleep(600)


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answers nothing; it is not asked."""


def test_a_worker_that_dies_during_a_health_check_is_noticed_at_once() -> None:
    config = uvicorn.Config(application, port=0, lifespan="off", log_config=None)
    worker = Hung(config, sockets=[config.bind_socket()])
    worker.start()
    found: list[bool] = []
    asked = threading.Thread(target=lambda: found.append(worker.is_alive(timeout=600)), daemon=True)
    asked.start()
    asked.join(0.5)
    assert found == []
    worker.process.kill()
    asked.join(60)
    assert found == [False]
    worker.join()
