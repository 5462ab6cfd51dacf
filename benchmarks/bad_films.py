"""Ingest of bad films: a corpus of 625 files, the outcome per kind, and the memory of the run.

python -m benchmarks.bad_films
"""

import argparse
import os
import resource
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from benchmarks import bad_film_corpus as corpus
from cxr.core.config import load_section
from cxr.ingest.config import DataSection
from cxr.ingest.ingest import ingest
from cxr.report.tables import markdown
from cxr.runtime.compute import load_compute


@dataclass
class Outcome:
    """Outcome of the files of one kind."""

    files: int = 0
    read: int = 0
    reasons: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def quarantined(self) -> int:
        """Files with a reason."""
        return sum(self.reasons.values())

    @property
    def unmentioned(self) -> int:
        """Files that are neither read nor quarantined."""
        return self.files - self.read - self.quarantined


def outcomes(written: dict[str, str], settings: DataSection, run: Callable[[DataSection], None]) -> dict[str, Outcome]:
    """Ingest the files below the settings' root and count their outcomes by kind.

    Args:
        written: the kind of each file, by its path relative to the root.
        settings: of ingest.
        run: ingests into the folder `data`.
    """
    run(settings)
    told = {name: f"{settings.root}/{name}".encode(errors="backslashreplace").decode() for name in written}
    kinds = {told[name]: kind for name, kind in written.items()}
    found: dict[str, Outcome] = defaultdict(Outcome)
    for kind in written.values():
        found[kind].files += 1
    for path in pd.read_csv("data/manifest.csv", keep_default_na=False)["path"]:
        if path in kinds:
            found[kinds[path]].read += 1
    for row in pd.read_csv("data/quarantine.csv", keep_default_na=False).itertuples():
        found[kinds[str(row.path)]].reasons[str(row.reason)] += 1
    return dict(found)


def table(found: dict[str, Outcome]) -> str:
    """The outcomes as a Markdown table."""
    head = ["kind", "files", "read", "quarantined", "neither", "as (the most frequent reason)"]
    return markdown(head, [_row(kind, outcome) for kind, outcome in found.items()])


def _row(kind: str, outcome: Outcome) -> list[str]:
    reason = max(outcome.reasons, key=lambda text: outcome.reasons[text], default="")
    numbers = (outcome.files, outcome.read, outcome.quarantined, outcome.unmentioned)
    return [kind, *map(str, numbers), reason.replace("|", "/")]


def totals(found: Iterable[Outcome]) -> str:
    """The sums of all kinds, in one line."""
    kinds = list(found)
    files, read, refused, neither = (
        sum(getattr(outcome, name) for outcome in kinds) for name in ("files", "read", "quarantined", "unmentioned")
    )
    helpless = sorted({reason for outcome in kinds for reason in outcome.reasons if "; " not in reason})
    told = f", {len(helpless)} reasons without a remedy: {' / '.join(helpless)}" if helpless else ", each with a remedy"
    return f"{files} files of {len(kinds)} kinds: {read} read, {refused} quarantined{told}, {neither} neither"


def write_other_class(root: Path) -> None:
    """Sound films of another class, which ingest needs and the table does not count."""
    (root / "PNEUMONIA").mkdir()
    for number in range(20):
        (root / f"PNEUMONIA/{number}.png").write_bytes(corpus.encoded(".png", corpus.film(1000 + number)))


def main() -> None:
    """Write the corpus into a temporary folder, ingest it, and print the outcomes."""
    argparse.ArgumentParser(prog="python -m benchmarks.bad_films", description=__doc__).parse_args()
    changes = {"root": "films", "path_pattern": "none", "patient_from": "image", "masks_dir": "none"}
    settings = load_section("data", DataSection).model_copy(update={**changes, "max_quarantined": 1.0})
    compute = load_compute().model_copy(update={"workers": 1})
    start = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            written = corpus.write(Path("films"))
            write_other_class(Path("films"))
            before = _peak()
            found = outcomes(written, settings, lambda one: ingest(one, compute, Path("data")))
        finally:
            os.chdir(start)
    print(table(found))
    print(f"\n{totals(found.values())}. Memory: at most {_peak():.0f} MB, {before:.0f} MB before ingest.")


def _peak() -> float:
    """Peak memory of this process, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
