"""Which films the figures are of."""

import pandas as pd

SPLIT_NAMES = {"test": "test", "val": "validation"}


def reported_split(table: pd.DataFrame) -> str:
    """`test`, or `val` where the cohort has no test films."""
    return "test" if bool((table["split"] == "test").any()) else "val"


def films_of(table: pd.DataFrame, split: str) -> pd.DataFrame:
    """The films of a split."""
    return table[table["split"] == split].reset_index(drop=True)
