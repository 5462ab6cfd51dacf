import importlib
import re
from collections.abc import Callable
from typing import Any

import pytest

from cxr.train import engine
from tests.train.conftest import Run

HOMES = ("data", "module", "progress", "resume", "sigterm")
CLASSES = {
    name: value
    for home in HOMES
    for name, value in vars(importlib.import_module(f"cxr.train.{home}")).items()
    if isinstance(value, type)
}


def test_the_loop_calls_our_code_in_the_order_that_the_module_tells(
    new_run: Callable[[str], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = re.findall(r"^ +(\w+)\.(\w+)  ", str(engine.__doc__), re.M)
    called: list[tuple[str, str]] = []

    def note(owner: str, hook: str) -> None:
        original = getattr(CLASSES[owner], hook)

        def noted(self: Any, *args: Any, **kwargs: Any) -> Any:
            if (owner, hook) not in called:
                called.append((owner, hook))
            return original(self, *args, **kwargs)

        monkeypatch.setattr(CLASSES[owner], hook, noted)

    for owner, hook in told:
        note(owner, hook)
    new_run("run")(epochs=1)
    assert len(told) > 10
    assert called == told
