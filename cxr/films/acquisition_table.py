"""data/acquisition.csv: the acquisition statistics of each film, written by ingest."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from cxr.core.errors import CxrError
from cxr.core.files import write_csv
from cxr.films.acquisition import STATISTICS


def write_acquisition(path: Path, rows: Iterable[tuple[str, Sequence[float]]]) -> None:
    """Write the statistics of each film by its image id."""
    table = pd.DataFrame([{"image_id": name, **dict(zip(STATISTICS, values, strict=True))} for name, values in rows])
    write_csv(path, table)


def read_acquisition(path: Path) -> pd.DataFrame:
    """The statistics (films, STATISTICS) with the image id as index; raises CxrError when the file is unusable."""
    if not path.is_file():
        raise CxrError(f"{path}: no acquisition statistics; run `dvc repro ingest` first")
    table = pd.read_csv(path, dtype={"image_id": str})
    missing = [name for name in ("image_id", *STATISTICS) if name not in table.columns]
    if missing:
        raise CxrError(f"{path}: column {missing[0]!r} is missing; run `dvc repro --force ingest`")
    return table.set_index("image_id")[list(STATISTICS)]
