"""Known vulnerabilities of the pinned packages: python -m scripts.audit (make audit), by pip-audit.

An unreachable advisory database is logged and is not a failure.
"""

import json
import logging
import subprocess
import sys
import urllib.request

from cxr.core.errors import CxrError
from cxr.runtime.console import run_stage

log = logging.getLogger(__name__)
DATABASE = "https://pypi.org/pypi/pip/json"  # the query of pip-audit for one package
REACH_S, WHOLE_S = 5, 300
LOCKS = ("requirements.txt", "requirements-dev.txt")


def main() -> None:
    """Audit the pinned packages; raises CxrError with one line per vulnerability."""
    try:
        with urllib.request.urlopen(DATABASE, timeout=REACH_S):
            pass
    except OSError as error:
        log.warning("no advisory database can be reached (%s): the packages were not audited", error)
        return
    for lock in LOCKS:
        _audit(lock)


def _audit(lock: str) -> None:
    command = [sys.executable, "-m", "pip_audit", "--requirement", lock, "--no-deps", "--disable-pip", "--desc", "off"]
    command += ["--format", "json", "--progress-spinner", "off", "--timeout", str(REACH_S)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WHOLE_S)
        packages = json.loads(done.stdout)["dependencies"]
    except subprocess.TimeoutExpired:
        log.warning("%s: the advisory database does not answer within %d s: not audited", lock, WHOLE_S)
        return
    except ValueError:  # pip-audit ended without a result
        log.warning("%s: not audited: %s", lock, " ".join(done.stderr.split())[-200:])
        return
    known = [package for package in packages if "vulns" in package]
    found = [f"{one['name']} {one['version']}: {vuln['id']}" for one in known for vuln in one["vulns"]]
    if found:
        remedy = "raise the pins in requirements*.in and run `make lock`"
        raise CxrError("\n".join(f"{lock}: {line}; {remedy}" for line in found))
    if known:
        log.info("%s: no known vulnerability in %d packages", lock, len(known))
    if len(known) < len(packages):
        log.warning("%s: %d packages are unknown to the database: not audited", lock, len(packages) - len(known))


if __name__ == "__main__":
    run_stage(main)
