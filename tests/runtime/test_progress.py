"""Progress in a log: whole lines, and every item passed on."""

import logging

import pytest

from cxr.runtime.console import progress


def test_items_are_yielded_in_order() -> None:
    assert list(progress(iter("abc"), 3, "films")) == ["a", "b", "c"]


def test_a_log_gets_whole_lines_with_count_and_rate(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        list(progress(range(20), 20, "segment"))
    lines = [record.getMessage() for record in caplog.records]
    assert lines
    assert lines[-1].startswith("segment: 20/20 films, ")
    assert "film/s" in lines[-1]
    assert not any("\r" in line for line in lines)


def test_a_quick_loop_does_not_flood_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        list(progress(range(50_000), 50_000, "segment"))
    assert len(caplog.records) < 20
