"""metrics/details/subgroups.json: metrics of groups of films, and whether a group differs from the rest."""

import numpy as np
import pandas as pd
from scipy.stats import t as student

from cxr.decision.operating_point import OperatingPoint
from cxr.evaluate.config import EvaluateSection
from cxr.evaluate.intervals import Bools, Floats, Sample, holm, leave_out_weights, plain_interval, standard_error
from cxr.evaluate.scored import Block, ScoredFilms, interval_entries, rounded
from cxr.evaluate.table import SPLIT_NAMES, films_of, reported_split

MAX_GROUPS = 20


def subgroup_details(table: pd.DataFrame, point: OperatingPoint, section: EvaluateSection) -> Block:
    """Metrics of the reported split for each value of each column of `evaluate.subgroups`.

    A group of fewer than `evaluate.subgroup_patients` patients is listed with its size under `too_small`, without
    metrics. `difference` is the main metric of the group minus that of all other films; its p-values are adjusted for
    all groups of all columns together (Holm 1979).
    """
    films = films_of(table, reported_split(table))
    columns = {name: _column(films, name, point, section) for name in section.subgroups}
    compared = {
        f"{column}={group}": block
        for column, groups in columns.items()
        for group, block in groups.items()
        if isinstance(block, dict) and block.get("difference_p") is not None
    }
    for name, adjusted in holm({name: block["difference_p"] for name, block in compared.items()}).items():
        compared[name]["difference_p_holm"] = rounded(adjusted)
    return {"split": SPLIT_NAMES[reported_split(table)], "patients_at_least": section.subgroup_patients, **columns}


def _column(table: pd.DataFrame, column: str, point: OperatingPoint, section: EvaluateSection) -> Block:
    """Metrics of the films for each value of a column; empty values count as `unknown`."""
    if column not in table.columns:
        return {"reason": f"the cohort has no column '{column}'"}
    values = table[column].replace("", "unknown")
    groups = sorted(set(values))
    if len(groups) > MAX_GROUPS:
        return {"reason": f"{len(groups)} values; at most {MAX_GROUPS} are shown: bin the column in the manifest"}
    block: Block = {}
    too_small = {}
    for group in groups:
        inside = (values == group).to_numpy()
        patients = int(table.loc[inside, "patient_id"].nunique())
        if patients < section.subgroup_patients:
            too_small[group] = patients
            continue
        own = table[inside].reset_index(drop=True)
        films = ScoredFilms(own, point)
        block[group] = {"films": len(own), "patients": patients, **films.with_intervals(films.task.subgroup_metrics)}
        block[group] |= _difference(table, inside, point)
    return block | ({"too_small": too_small} if too_small else {})


def _difference(table: pd.DataFrame, inside: Bools, point: OperatingPoint) -> Block:
    """The main metric inside minus outside, with interval and p-value; patients may have films on both sides."""
    films = ScoredFilms(table, point)
    name, weights = films.task.main_metric, leave_out_weights(films.patients)

    def gap(rows: Floats) -> Floats:
        return np.asarray(films.measure(rows * inside)[name] - films.measure(rows * ~inside)[name])

    if inside.all():
        return {"difference": None, "difference_reason": "no other films to compare with"}
    value, error = float(gap(np.ones((1, len(table))))[0]), standard_error(gap(weights))
    if not np.isfinite(value):
        return {"difference": None, "difference_reason": "the metric is not defined for the group or for the others"}
    sample = Sample(len(set(films.patients)), len(table))
    block = {"difference": rounded(value), **interval_entries("difference", plain_interval(value, error, sample))}
    if block["difference_low"] is None:
        return block
    return block | {"difference_p": rounded(float(2 * student.sf(abs(value) / error, sample.patients - 1)))}
