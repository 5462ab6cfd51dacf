"""metrics/metrics.json: the headline figures, few enough for `dvc exp show` and `dvc metrics diff`."""

from cxr.evaluate.measure import Block
from cxr.evaluate.task import Task


def metrics_json(task: Task, figures: Block, shift: Block, segmentation: Block) -> Block:
    """At most 15 scalars: test, validation, two copies of it, lungs; null where a figure cannot be had.

    Args:
        task: names the figures.
        figures: as in metrics/details/figures.json.
        shift: as in metrics/details/shift.json.
        segmentation: as in metrics/details/segmentation.json.
    """
    test, validation, main = figures["test"], figures["validation"], task.main_figure
    interval = (main, f"{main}_low", f"{main}_high")
    block: Block = {}
    if test["films"]:
        block["test"] = {name: test.get(name) for name in (*interval, *task.short[1:])}
        block["val"] = {name: validation.get(name) for name in interval}
    else:
        block["val"] = {name: validation.get(name) for name in (*interval, *task.short[1:])}
    for copy in ("corrupted", "swapped"):
        if shift[copy]["films"]:
            block[f"{copy}_val"] = {main: shift[copy].get(main)}
    if segmentation["dice"] is not None:
        return block | {"lungs": {"dice": segmentation["dice"]}}
    return block | {"lungs": {"fallbacks": segmentation["fallbacks"]}}
