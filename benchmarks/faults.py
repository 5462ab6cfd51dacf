"""Crash safety and determinism of the pipeline: python -m benchmarks.faults crash --kills 100 --minutes 8.

`crash` kills `dvc repro` with SIGKILL at random moments, spread evenly over the stages, and runs it again.
`determinism` runs a small cohort under other locales, clocks, masks, threads, places and orders and compares the bytes.
Both keep a journal, so that a count can be collected in pieces; without `--minutes` they run until it is full.
docs/operations.md has the counts.

Each kill begins with the copy of a finished run from which one stage's outs were taken: out of the workspace, out of
dvc.lock, out of DVC's cache, its run-cache and the per-film cache. So DVC has that stage to run and the later ones to
look at, and a kill falls before, into or behind it. Afterwards every file of the clone must be that of the finished
run.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.faults_determinism import determinism
from cxr.core.errors import CxrError
from cxr.runtime.console import run_stage
from testing.workspace import commit, load_yaml, make_clone, output, repro, results, save_yaml, set_workers

WORK = Path(".cache/faults")
LONGEST_S = 900.0
BEFORE = 0.15  # share of the kills that fall before the stage starts
GUESS = {"startup": 3.0, "seconds": 5.0}  # of a stage that was not timed yet


def main(arguments: list[str] | None = None) -> None:
    """Run one of the two and print its counts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    one = kinds.add_parser("crash", help="kill, run again, compare")
    one.add_argument("--kills", type=int, default=100, help="kills in all, those of the journal included")
    one.add_argument("--seed", type=int, default=0, help="of the moments")
    two = kinds.add_parser("determinism", help="one change at a time against a plain run")
    for command in (one, two):
        command.add_argument("--minutes", type=float, default=float("inf"), help="begin nothing new after this time")
        command.add_argument("--work", type=Path, default=WORK, help="folder of the journal and of the scratch clones")
    options = parser.parse_args(arguments)
    if options.kind == "crash":
        crash(options.work.resolve(), options.kills, options.seed, options.minutes)
    else:
        determinism(options.work.resolve(), options.minutes)


def crash(work: Path, kills: int, seed: int, minutes: float) -> list[dict[str, Any]]:
    """Kill until the journal has `kills` kills or the time is over; print the counts, and return the kills."""
    deadline = time.monotonic() + 60 * minutes
    journal, whole = work / "crash.jsonl", work / "whole"
    _finished_run(whole)
    expected, stages = results(whole), list(load_yaml(whole / "dvc.yaml")["stages"])
    done = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()] if journal.is_file() else []
    while sum(entry["killed"] for entry in done) < kills and time.monotonic() < deadline:
        number = len(done)
        stage = stages[number % len(stages)]
        timed = next((entry for entry in reversed(done) if entry["stage"] == stage and entry["code"] == 0), GUESS)
        moment = random.Random(f"{seed} {number}").random()
        _prepare(whole, work / "trial", stage, 1 + number % 2)
        killed, where = _kill(work / "trial", stage, moment, timed)
        entry = {"number": number, "stage": stage, "killed": killed, "where": where, **_again(work / "trial", stage)}
        entry |= _compare(expected, work / "trial") if entry["code"] == 0 else {"different": [], "litter": []}
        done.append(entry)
        with journal.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(entry) + "\n")
    done = [entry for entry in done if entry["killed"]]
    _report(done, stages)
    return done


def _finished_run(folder: Path) -> None:
    """A clone in which `dvc repro` ran through, made once."""
    if (folder / "finished").is_file():
        return
    shutil.rmtree(folder, ignore_errors=True)
    make_clone(folder)
    (folder / ".cache").mkdir()
    if repro(folder).wait():
        raise CxrError(f"{folder}: the undisturbed run failed:\n{output(folder)[-2000:]}")
    (folder / "finished").touch()
    commit(folder)


def _prepare(whole: Path, folder: Path, stage: str, workers: int) -> None:
    """A copy of the finished run in which one stage has to run."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder, symlinks=True)
    set_workers(folder, workers)
    _forget(folder, stage)


def _kill(folder: Path, stage: str, moment: float, timed: dict[str, float]) -> tuple[bool, str]:
    """Kill a run at a moment from 0 to 1 of its length; returns whether it still ran, and where it was."""
    process = repro(folder)
    if moment < BEFORE:
        time.sleep(moment / BEFORE * timed["startup"])
    else:
        _wait_for_stage(process, folder, stage)
        time.sleep((moment - BEFORE) / (1 - BEFORE) * timed["seconds"])
    killed = process.poll() is None
    if killed:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    printed = output(folder)
    where = "in" if f"Running stage '{stage}'" in printed else "before"
    return killed, "behind" if "Updating lock file" in printed else where


def _again(folder: Path, stage: str) -> dict[str, Any]:
    """Run again to the end: exit code, last words of a failed run, seconds before the stage starts and from there."""
    started = time.monotonic()
    process = repro(folder)
    startup = _wait_for_stage(process, folder, stage)
    code = process.wait(timeout=LONGEST_S)
    seconds = time.monotonic() - started - startup
    fault = output(folder)[-2000:] if code else ""
    if code:  # DVC cannot read a file of its own
        subprocess.run([sys.executable, "-m", "cxr", "repair"], cwd=folder, check=True)
        code = repro(folder).wait(timeout=LONGEST_S)
    return {
        "code": code,
        "mended": bool(fault),
        "startup": round(startup, 1),
        "seconds": round(seconds, 1),
        "fault": fault,
    }


def _wait_for_stage(process: subprocess.Popen[str], folder: Path, stage: str) -> float:
    """Seconds until DVC starts the stage, or has nothing to start."""
    started = time.monotonic()
    while process.poll() is None and f"Running stage '{stage}'" not in output(folder):
        time.sleep(0.02)
    return time.monotonic() - started


def _forget(folder: Path, stage: str) -> None:
    """Take the outs of a stage from everywhere, so that it has to run."""
    lock = load_yaml(folder / "dvc.lock")
    for out in lock["stages"].pop(stage)["outs"]:
        path = folder / out["path"]
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        for md5 in _objects(folder, out["md5"]):
            _cached(folder, md5).unlink(missing_ok=True)
    save_yaml(folder / "dvc.lock", lock)
    shutil.rmtree(folder / ".dvc/cache/runs", ignore_errors=True)
    shutil.rmtree(folder / ".dvc/tmp", ignore_errors=True)
    shutil.rmtree(folder / ".cache/films" / stage, ignore_errors=True)


def _objects(folder: Path, md5: str) -> Iterator[str]:
    """An out's object in DVC's cache and, of a folder, those of its files."""
    yield md5
    if md5.endswith(".dir") and _cached(folder, md5).is_file():
        yield from (entry["md5"] for entry in json.loads(_cached(folder, md5).read_text(encoding="utf-8")))


def _cached(folder: Path, md5: str) -> Path:
    return folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:]


def _compare(expected: dict[str, str], folder: Path) -> dict[str, list[str]]:
    """The files that are not those of the finished run, and those that a killed writer left beside them."""
    found = results(folder)
    different = {name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)}
    litter = {name for name in different if name.endswith(".tmp") or ".tmp/" in name}
    return {"different": sorted(different - litter), "litter": sorted(litter)}


def _report(done: list[dict[str, Any]], stages: list[str]) -> None:
    print(
        f"{'stage':<12}{'kills':>6}{'before':>8}{'in':>5}{'behind':>8}{'completed':>11}{'identical':>11}{'litter':>8}"
    )
    for stage in [*stages, "all"]:
        own = [entry for entry in done if stage in (entry["stage"], "all")]
        where = Counter(entry["where"] for entry in own)
        completed = [entry for entry in own if entry["code"] == 0]
        identical = sum(not entry["different"] for entry in completed)
        litter = sum(bool(entry["litter"]) for entry in own)
        mended = sum(entry.get("mended", False) for entry in completed)
        print(
            f"{stage:<12}{len(own):>6}{where['before']:>8}{where['in']:>5}{where['behind']:>8}"
            f"{len(completed):>11}{mended:>8}{identical:>11}{litter:>8}"
        )
    for entry in done:
        if entry["code"] or entry["different"]:
            print(f"kill {entry['number']}: {entry['stage']}: {entry['different'] or entry['fault'][-500:]}")


if __name__ == "__main__":
    run_stage(main)
