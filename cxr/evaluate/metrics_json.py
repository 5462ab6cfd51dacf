"""metrics/metrics.json: the headline figures, few enough for `dvc exp show` and `dvc metrics diff`."""

from typing import Any

from cxr.evaluate.measure import Block, rounded
from cxr.evaluate.task import Task

CORRUPTED = "corrupted_auroc"  # in the facts of a checkpoint: of its epoch, on the corrupted copy of validation


def metrics_json(task: Task, figures: Block, segmentation: Block, facts: dict[str, Any]) -> Block:
    """At most 15 scalars: test, validation, corrupted validation, lungs; null where a figure cannot be had.

    Args:
        task: names the figures.
        figures: as in metrics/details/figures.json.
        segmentation: as in metrics/details/segmentation.json.
        facts: of the checkpoint; `best` holds the row of the training history that was kept.
    """
    test, validation, main = figures["test"], figures["validation"], task.main_figure
    interval = (main, f"{main}_low", f"{main}_high")
    block: Block = {}
    if test["films"]:
        block["test"] = {name: test.get(name) for name in (*interval, *task.short[1:])}
        block["val"] = {name: validation.get(name) for name in interval}
    else:
        block["val"] = {name: validation.get(name) for name in (*interval, *task.short[1:])}
    corrupted = facts.get("best", {}).get(CORRUPTED)
    if corrupted is not None:
        block["corrupted_val"] = {"auroc": rounded(corrupted)}
    if segmentation["dice"] is not None:
        return block | {"lungs": {"dice": segmentation["dice"]}}
    return block | {"lungs": {"fallbacks": segmentation["fallbacks"]}}
