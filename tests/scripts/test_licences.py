"""The generated page lists every pinned package; a licence that forbids commercial use is an error."""

import re
from pathlib import Path

import pytest

from cxr.core.errors import CxrError
from scripts import licences
from scripts.licences import Pinned, licence, main
from tests.settings import ROOT


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_the_page_lists_exactly_the_pinned_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = tmp_path / "reports/licences.md"
    monkeypatch.setattr(licences, "PAGE", where)
    main()
    pins = set()
    for lock in ROOT.glob("requirements*.txt"):
        pins |= set(re.findall(r"^([A-Za-z0-9._-]+)==", lock.read_text(encoding="utf-8"), re.MULTILINE))
    assert len(pins) > 200
    rows = re.findall(r"^\| (\S+) \| \d[^|]*\| ([^|]+) \|", where.read_text(encoding="utf-8"), re.MULTILINE)
    assert {name for name, _ in rows} == pins
    assert dict(rows)["numpy"].startswith("BSD-3-Clause")


@pytest.mark.parametrize(
    "said",
    ["CC-BY-NC-4.0", "AGPL-3.0-only", "MIT AND CC-BY-NC-4.0", "", "Free for academic use", "MIT AND (X OR Y)"],
)
def test_a_licence_that_may_forbid_commercial_use_is_an_error(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setattr(licences, "_metadata", lambda name: said)
    with pytest.raises(CxrError, match=r"newcomer: licence .* is not known to allow commercial use"):
        licence(Pinned("newcomer", ("1",), ("requirements.txt",), browsers_only=False))


@pytest.mark.parametrize("said", ["MIT", "GPL-3.0-only OR MIT", "MPL-2.0 AND (Apache-2.0 OR GPL-3.0-only)"])
def test_a_licence_that_allows_commercial_use_is_accepted(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setattr(licences, "_metadata", lambda name: said)
    assert licence(Pinned("newcomer", ("1",), ("requirements.txt",), browsers_only=False)) == said


def test_a_pinned_package_that_is_not_installed_is_an_error() -> None:
    with pytest.raises(CxrError, match="no-such-package: pinned, but not installed"):
        licence(Pinned("no-such-package", ("1",), ("requirements.txt",), browsers_only=False))
