"""`make audit` reports vulnerabilities; an unreachable database is logged in one line and is not a failure."""

import json
import logging
import subprocess
import urllib.request
from typing import Any

import pytest

from cxr.core.errors import CxrError
from scripts import audit

JINJA = {"name": "jinja2", "version": "2.11.2", "vulns": [{"id": "PYSEC-2021-66"}]}
NUMPY: dict[str, Any] = {"name": "numpy", "version": "2.4.6", "vulns": []}
STRANGE = {"name": "strange", "skip_reason": "Dependency not found on PyPI"}


def answers(monkeypatch: pytest.MonkeyPatch, *packages: dict[str, Any]) -> None:
    """A database within reach, and a pip-audit that says this of some packages."""
    monkeypatch.setattr(audit, "DATABASE", "data:,")
    done = subprocess.CompletedProcess([], 0, json.dumps({"dependencies": packages}), "")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)


def test_an_unreachable_database_is_logged_and_is_not_a_failure(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(audit, "DATABASE", "http://127.0.0.1:9/")  # nobody listens there
    audit.main()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "no advisory database can be reached" in caplog.text


def test_every_request_has_a_short_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def never(address: str, timeout: float) -> None:
        asked[address] = timeout
        raise TimeoutError

    monkeypatch.setattr(urllib.request, "urlopen", never)
    audit.main()
    assert asked == {audit.DATABASE: 5}


def test_the_error_names_a_vulnerability(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, NUMPY, JINJA)
    with pytest.raises(CxrError, match=r"requirements\.txt: jinja2 2\.11\.2: PYSEC-2021-66; raise the pins"):
        audit.main()


def test_a_clean_audit_names_every_lock(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    answers(monkeypatch, NUMPY)
    with caplog.at_level(logging.INFO):
        audit.main()
    assert caplog.text.count("no known vulnerability in 1 packages") == len(audit.LOCKS)
    assert "not audited" not in caplog.text


def test_a_package_unknown_to_the_database_does_not_count_as_clean(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answers(monkeypatch, NUMPY, STRANGE)
    audit.main()
    assert "requirements.txt: 1 packages are unknown to the database: not audited" in caplog.text


def test_a_database_that_stops_answering_is_not_a_failure(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answers(monkeypatch)

    def hangs(command: Any, **_: Any) -> None:
        raise subprocess.TimeoutExpired(command, audit.WHOLE_S)

    monkeypatch.setattr(subprocess, "run", hangs)
    audit.main()
    assert caplog.text.count("not audited") == len(audit.LOCKS)
