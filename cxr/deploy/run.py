"""A bundle over films that somebody names, into a table: what tools.predict and tools.external share."""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from cxr.deploy.films import find_films
from cxr.deploy.journal import Journal, Record
from cxr.deploy.many import predict_all
from cxr.deploy.predictor import Predictor
from cxr.deploy.rows import Row, write_rows

log = logging.getLogger(__name__)


def predict_into(
    out: Path,
    predictor: Predictor,
    names: Sequence[str],
    workers: int,
    overlays: Path | None = None,
    statistics: bool = False,
) -> list[Record]:
    """Write one row a film into `out`; a run that was stopped resumes.

    Args:
        out: CSV to write.
        predictor: a loaded bundle.
        names: films, folders or S3 addresses.
        workers: threads that prepare films.
        overlays: folder for one picture a film, or None.
        statistics: record those of acquisition, which drift is measured by.

    Raises:
        CxrError: a name stands for no film.
    """
    journal = Journal(out, f"{predictor.version}{' with statistics' if statistics else ''}")
    records = predict_all(predictor, find_films(names), journal, workers, overlays, statistics)
    rows = [record.row for record in records]
    write_rows(out, rows, predictor.config.classes)
    journal.remove()
    _tell(rows, out)
    return records


def _tell(rows: Sequence[Row], out: Path) -> None:
    read = [row for row in rows if not row["refused"]]
    doubted = [row for row in read if row["flags"]]
    calls = Counter(row["decision"] for row in read)
    flags = Counter(flag for row in doubted for flag in row["flags"].split("|"))
    log.info("%s: %d films. RESEARCH USE ONLY, not for diagnosis", out, len(rows))
    log.info("called: %s", _counts(calls) or "none")
    log.info("not to be believed: %d%s", len(doubted), f" ({_counts(flags)})" if flags else "")
    log.info("refused: %d", len(rows) - len(read))


def _counts(counter: "Counter[str]") -> str:
    return ", ".join(f"{films} {name}" for name, films in counter.most_common())
