"""docs/checklists.md answers all items of CLAIM 2024 and of TRIPOD+AI, and each place that it names exists."""

import re
from pathlib import Path
from typing import Any

import pytest

from cxr.core.config import read_yaml

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/checklists.md").read_text(encoding="utf-8")
ROWS = re.findall(r"(?m)^\| (\d+[a-z]?) \| [^|]+ \| (Repository|You|Both) \| (.*)\|$", PAGE)
CLAIM = [str(number) for number in range(1, 45)]
LETTERS = {3: "abc", 5: "ab", 6: "abc", 8: "abc", 9: "abc", 12: "abcdefg", 18: "abcdef", 20: "abc", 23: "ab", 27: "abc"}
TRIPOD = [f"{number}{letter}" for number in range(1, 28) for letter in LETTERS.get(number, [""])]
FILE = r"[\w.-]+(?:/[\w.-]+)+|[\w-]+\.(?:yaml|txt|lock|md)|LICENSE"
PLACES = sorted({place for *_, where in ROWS for place in re.findall(rf"`((?:{FILE})(?:: [\w.]+)?)`", where)})


def outs() -> set[str]:
    """Files and folders that stages of dvc.yaml write."""
    stages = read_yaml(ROOT / "dvc.yaml")["stages"].values()
    entries = [entry for stage in stages for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, [])]
    return {entry if isinstance(entry, str) else next(iter(entry)) for entry in entries}


def test_every_item_of_claim_2024_and_of_tripod_ai_has_a_row() -> None:
    assert len(TRIPOD) == 52
    assert [number for number, *_ in ROWS] == CLAIM + TRIPOD


def test_rows_of_tripod_ai_refer_to_rows_of_claim() -> None:
    named = {number for *_, where in ROWS[len(CLAIM) :] for number in re.findall(r"CLAIM (\d+)", where)}
    assert named
    assert named <= set(CLAIM)


def test_every_item_that_the_repository_answers_says_where() -> None:
    for number, who, where in ROWS:
        assert who == "You" or where.strip(), number


@pytest.mark.parametrize("place", PLACES)
def test_every_place_exists(place: str) -> None:
    name, _, keys = place.partition(": ")
    if name.startswith("data/"):
        assert name in outs(), f"{name}: no stage writes it"
        return
    assert (ROOT / name).exists(), name
    found: Any = read_yaml(ROOT / name) if keys else None  # JSON is YAML
    for key in keys.split(".") if keys else []:
        assert key in found, f"{place}: no key {key}"
        found = found[key]
