"""Commands and links of README and the pages exist; those of README are followed to the letter in a fresh clone."""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import phantom, write_image
from tests.test_pipeline import ROOT, sh

README, OWN_DATA, OPERATIONS = ROOT / "README.md", ROOT / "docs/data.md", ROOT / "docs/operations.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "benchmarks").rglob("*.md"))]
PAGES += [*(ROOT / "segmenter").glob("*.md"), ROOT / "data/README.md", ROOT / "data/raw/README.md"]
STUDIES = sorted((ROOT / "studies").glob("*.md"))  # frozen: their commands are those of their commits
# A small network and a short training: what is tried is the commands, not the recipe.
SMALL = {
    "  patients": "12",
    "  image_px": "64",
    "  backbone": "test_resnet",
    "  weights": "none",
    "  epochs": "2",
    "  min_steps": "4",
    "  resamples": "100",
    "  gallery_films": "6",
}
# What a command prints; every command of the tables must be here.
PRINTS = {
    "dvc status": "Data and pipelines are up to date",
    "dvc repro": "Data and pipelines are up to date",
    "dvc exp run -n lr3 -S train.lr=3e-4": r"Ran experiment\(s\): .*lr3",
    "make experiments": "lr3",
    "dvc metrics diff": "metrics/metrics.json",
    "dvc plots diff": r"dvc_plots/index\.html",
    "python -m cxr compare main workspace": "(?i)auroc",
    "make report BASE=main": r"wrote reports/report\.md",
    "dvc exp apply lr3": "have been applied",
    "make restore": "dvc checkout",
    "make predict FILMS=folder BUNDLE=models/bundle": "RESEARCH USE ONLY",
    "dvc exp run --queue -n drop -S train.dropout=0.5": "Queued experiment 'drop'",
    "dvc queue start": "Started",
    "dvc queue status": "drop .*Success",
    "dvc queue logs drop": "Running stage 'train'",
    "dvc queue remove --all": "drop",
}


# A machine that was never used: nothing in HOME, and nobody answers but this machine itself.
NO_NETWORK = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
NO_NETWORK["no_proxy"] = "127.0.0.1,localhost"
ELSEWHERE = {"python -m cxr seeds --count 5"}  # five trainings: tests/commands/test_seeds.py


def block(page: Path, heading: str) -> list[str]:
    """Lines of the first shell block below a heading."""
    below = page.read_text(encoding="utf-8").partition(f"{heading}\n")[2]
    return below.partition("```bash\n")[2].partition("\n```")[0].splitlines()


def table(page: Path, heading: str) -> list[str]:
    """Commands in the first column of the first table below a heading."""
    below = page.read_text(encoding="utf-8").partition(f"{heading}\n")[2].partition("\n#")[0]
    return re.findall(r"(?m)^\| `([^`]*)`", below)


def name(page: Path) -> str:
    """Of a page, in the repository."""
    return page.relative_to(ROOT).as_posix()


def text(page: Path) -> str:
    """A page without the line breaks of its commands."""
    return re.sub(r"\\\n *", "", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"(?m)^#+ (.*)", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def options_of(command: str) -> str:
    """The help of a command of `python -m cxr`."""
    done = subprocess.run(
        [sys.executable, "-m", "cxr", command, "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"python -m cxr {command}\n{done.stderr}"
    return done.stdout


def follow(command: str, checkout: Path) -> str:
    """Run one command of a page; returns all that it printed."""
    command = re.sub(r"\bmake ", "make -o .venv/.installed ", command)  # this interpreter stands in for .venv
    home = checkout.parent / "home"
    home.mkdir(exist_ok=True)
    done = sh("bash", "-euo", "pipefail", "-c", command, cwd=checkout, HOME=str(home), **NO_NETWORK)
    printed = done.stdout + done.stderr
    assert done.returncode == 0, f"{command}\n{printed}"
    return printed


def set_parameter(checkout: Path, name: str, value: str) -> None:
    """Type a value into params.yaml, the comment behind it kept."""
    path, key = checkout / "params.yaml", name.rpartition(".")[2]
    text, count = re.subn(rf"(?m)^  {key}: .*?(?=  #|$)", lambda _: f"  {key}: {value}", path.read_text(), count=1)
    assert count == 1, name
    path.write_text(text)


def proposed_pattern(checkout: Path) -> str:
    """The `data.path_pattern` that `python -m cxr check` proposes."""
    done = sh(sys.executable, "-m", "cxr", "check", cwd=checkout)
    found = re.search(r"try (\S+) \(\d+ patients here\)", done.stdout + done.stderr)
    assert found, done.stdout + done.stderr
    return found[1]


def follow_block(lines: list[str], films: Path, checkout: Path) -> None:
    """Run the lines of a shell block; a comment `# params.yaml, NAME: VALUE` is an edit."""
    for line in lines:
        if edit := re.fullmatch(r"# params\.yaml, ([\w.]+): (.*)", line):
            proposed = edit[2] == "the pattern that check proposes"
            set_parameter(checkout, edit[1], proposed_pattern(checkout) if proposed else edit[2])
        else:
            follow(line.replace("/path/to/films", str(films)), checkout)


def clone(folder: Path) -> Path:
    """The files that Git tracks here, as a repository of one commit on main."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in tracked.splitlines():
        if not name.startswith("tests/") and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    params = folder / "params.yaml"
    for name, value in SMALL.items():
        text, count = re.subn(rf"(?m)^{name}: [\w.]+", f"{name}: {value}", params.read_text(), count=1)
        assert count == 1, name
        params.write_text(text)
    follow("git init -q -b main && git config user.name a && git config user.email a@b.invalid", folder)
    follow("git add -A && git commit -qm start", folder)
    return folder


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders as the pages describe them, and nothing else."""
    folder = tmp_path_factory.mktemp("films")
    for index in range(20):
        write_image(folder / f"NORMAL/IM-{index:04d}-0001.jpeg", phantom(index, 320, 256)[0])
        write_image(folder / f"PNEUMONIA/person{index}_bacteria_{index}.jpeg", 255 - phantom(50 + index, 320, 256)[0])
    return folder


@pytest.fixture(scope="module")
def day(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which the four lines of README, which commit the results, were followed."""
    checkout = clone(tmp_path_factory.mktemp("day"))
    follow_block(block(README, "## Your own data, in four lines"), films, checkout)
    assert (checkout / "reports/films.png").is_file()
    assert follow("git status --porcelain", checkout) == ""
    return checkout


@pytest.mark.parametrize("page", [*PAGES, *STUDIES], ids=name)
def test_every_link_of_a_page_leads_to_a_file_and_a_heading(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#\s]*)#?([^)\s]*)\)", page.read_text(encoding="utf-8"))
    targets = [(page.parent / path if path else page, anchor) for path, anchor in links]
    assert [path for path, _ in targets if not path.exists()] == []
    assert [(path, anchor) for path, anchor in targets if anchor and anchor not in anchors(path)] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_module_and_target_that_a_page_calls_exists(page: Path) -> None:
    modules = set(re.findall(r"python -m ((?:benchmarks|stages|segmenter|tests)[\w.]*\w)", text(page)))
    assert [one for one in modules if not (ROOT / f"{one.replace('.', '/')}.py").is_file()] == []
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"(?m)(?:`|^)make ([a-z-]+)", text(page)))
    assert [one for one in targets if not re.search(rf"(?m)^{one}:", makefile)] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_of_the_command_line_that_a_page_calls_knows_its_options(page: Path) -> None:
    calls = re.findall(r"python -m cxr ([a-z-]+)([^`|#\n]*)", text(page))
    known = {command: options_of(command) for command in {command for command, _ in calls}}
    named = [(command, option) for command, rest in calls for option in re.findall(r"(?<=\s)--?[A-Za-z][\w-]*", rest)]
    assert [(command, option) for command, option in named if option not in known[command]] == []


def test_the_page_on_own_data_says_the_same_as_readme() -> None:
    short, long = block(README, "## Your own data, in four lines"), block(OWN_DATA, "# Your own data")
    assert len(short) == 4
    assert long[:4] == short


@pytest.mark.journey
def test_the_commands_of_every_day_do_what_readme_says(day: Path, films: Path) -> None:
    commands = [command for command in table(README, "## Every day") if command not in ELSEWHERE]
    assert len(commands) >= 10
    for command in commands:
        printed = follow(command.replace("FILMS=folder", f"FILMS={films}"), day)
        assert re.search(PRINTS[command], printed), f"{command}\n{printed}"
        if command == "make experiments":
            assert max(map(len, printed.splitlines()[1:])) <= 160  # the first line is the command itself
    assert follow("git status --porcelain", day) == ""
    assert "up to date" in follow("dvc status", day)


@pytest.mark.journey
@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ("-S +train.lrr=1", ["params.yaml: train.lrr: unknown parameter; did you mean 'lr'?"]),
        (
            "-S train.lr=abc -S evaluate.threshold=youdn",
            [
                "params.yaml: train.lr: expected a valid number (got 'abc')",
                "params.yaml: evaluate.threshold: expected youden | f1 | sensitivity@0.95 | fixed | fixed@0.3 "
                "(got 'youdn'); did you mean 'youden'?",
            ],
        ),
        (
            "-S data.root=data/raw/nowhere",
            ["params.yaml: data.root: data/raw/nowhere is missing; copy the films, or fetch them with `dvc pull`"],
        ),
    ],
)
def test_a_wrong_value_is_one_line_before_any_work_and_restore_is_the_way_back(
    day: Path, changes: str, lines: list[str]
) -> None:
    done = sh("dvc", "exp", "run", *changes.split(), cwd=day)
    assert done.returncode != 0
    assert [line[7:] for line in done.stderr.splitlines() if line.startswith("error: ")] == lines
    assert "make restore" in done.stderr
    assert "Traceback" not in done.stderr
    for out in ("data/manifest.csv", "data/npz/index.csv", "models/classifier.ckpt", "metrics/metrics.json"):
        assert (day / out).is_file(), out
    follow("make restore", day)
    assert follow("git status --porcelain", day) == ""
    assert "up to date" in follow("dvc status", day)


@pytest.mark.journey
def test_the_queue_does_what_readme_says_and_a_failed_experiment_is_seen_as_failed(day: Path) -> None:
    follow("dvc exp run --queue -n bad -S train.warmup=1", day)
    for command in table(OPERATIONS, "## Experiments in a queue"):
        if command == "dvc queue status":
            deadline = time.monotonic() + 900
            while re.search("Queued|Running", printed := follow(command, day)) and time.monotonic() < deadline:
                time.sleep(2)
            assert re.search("bad .*Failed", printed)
            assert "train.warmup: must be less than 1 (got 1)" in follow("dvc queue logs bad", day)
            assert "bad" not in follow("dvc exp show --no-pager", day)
        else:
            printed = follow(command, day)
        assert re.search(PRINTS[command], printed), f"{command}\n{printed}"
    assert follow("git status --porcelain", day) == ""


@pytest.mark.journey
def test_push_and_pull_need_no_flag_and_a_second_clone_is_up_to_date(day: Path, tmp_path: Path) -> None:
    follow(f"dvc remote add -d storage {tmp_path / 'remote'} && dvc push && git commit -qam remote", day)
    follow(f"git clone -q {day} other && cd other && dvc pull", tmp_path)
    assert "Data and pipelines are up to date" in follow("dvc status", tmp_path / "other")
