"""`python -m cxr`: its list of commands, its imports, its error messages."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cxr.__main__ import GROUPS, main
from cxr.commands.parser import listing, registered
from tests.settings import ROOT

HEAVY = ("numpy", "pandas", "cv2", "torch", "boto3", "dvc", "matplotlib", "pydantic")
PARSERS = registered(GROUPS)
NAMES = [name for group in PARSERS.values() for name in group]


def cxr(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "cxr", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_without_a_command_all_are_listed_on_one_screen(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    lines = capsys.readouterr().out.splitlines()
    assert lines == listing(PARSERS).splitlines()
    assert len(lines) <= 30
    assert max(map(len, lines)) <= 120
    assert [line.split()[0] for line in lines if line.startswith("  ")] == NAMES
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: python -m cxr {name} ")
    assert max(map(len, text.splitlines())) <= 120


def test_help_imports_no_library() -> None:
    code = f"""
import sys
from cxr.__main__ import main
for arguments in [[], *([name, "--help"] for name in {NAMES})]:
    try:
        main(arguments)
    except SystemExit:
        pass
print([name for name in {HEAVY} if name in sys.modules])"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_misspelt_command_is_one_line() -> None:
    done = cxr("predct")
    assert done.returncode == 1
    assert done.stderr == "error: predct: no such command; did you mean 'predict'?; `python -m cxr` lists them\n"


def test_a_wrong_option_is_one_line() -> None:
    done = cxr("prune", "--days", "many")
    assert done.returncode == 2
    assert done.stderr == "error: argument --days: invalid float value: 'many'; see `python -m cxr prune --help`\n"


def test_an_error_of_a_command_is_one_line() -> None:
    done = cxr("serve", "--bundle", "no/such/bundle")
    assert done.returncode == 1
    assert re.fullmatch(r"error: no/such/bundle.*\n", done.stderr)


@pytest.mark.parametrize("chosen", [None, "models/bundle"])
def test_one_bundle_is_the_default_of_all_tasks_and_commands(chosen: str | None) -> None:
    setting = [f"BUNDLE={chosen}"] if chosen else []
    make = ["make", "-n", "-o", ".venv/.installed", "predict", "serve", "official-test", "FILMS=x", *setting]
    tasks = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    default = PARSERS["Prediction"]["predict"].get_default("bundle")
    assert re.findall(r'--bundle "?([^" ]+)', tasks) == [chosen or default] * 3
    for name in ("validate", "serve"):
        assert PARSERS["Prediction"][name].get_default("bundle") == default


def test_the_log_of_the_service_names_its_bundle(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    served = []
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("cxr.predict.service.supervisor.log_as_json", lambda: None)
    monkeypatch.setattr("cxr.predict.service.supervisor.supervise", lambda bundle, *_: served.append(bundle))
    with caplog.at_level("INFO"):
        main(["serve"])
    assert "bundle models/chest_xray" in caplog.text
    assert served == [Path("models/chest_xray")]
