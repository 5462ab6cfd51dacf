"""A paired comparison of two revisions, and how it reads in a terminal and in Markdown."""

from cxr.core.errors import CxrError
from cxr.evaluate.paired import Comparison, Difference, compare
from cxr.report.revisions import Results
from cxr.report.tables import title

SPLITS = ("test", "val")


def compare_results(a: Results, b: Results, split: str = "auto") -> Comparison:
    """B against A on one split; `auto` takes the test films, or validation where either lacks a test set.

    The intervals follow the `evaluate` parameters of B.
    """
    if split == "auto":
        both = [name for name in SPLITS if all((one.predictions["split"] == name).any() for one in (a, b))]
        if not both:
            raise CxrError(f"{a.name} and {b.name} have no split in common; compare revisions of one cohort")
        split = both[0]
    return compare(a.predictions, a.point, b.predictions, b.point, split, b.section)


def sentence(found: Comparison) -> str:
    """The verdict on the main figure, such as `ΔAUROC +0.012 [-0.003, 0.027]: not distinguishable`."""
    one = found.differences[0]
    interval = f"[no interval: {one.no_interval}]" if one.no_interval else f"[{one.low:.3f}, {one.high:.3f}]"
    return f"Δ{title(one.name)} {_gap(one, 3)} {interval}: {one.verdict}"


def as_text(found: Comparison, a: str, b: str) -> str:
    """The comparison as aligned lines."""
    lines = [sentence(found), "", _heading(found, a, b), ""]
    lines.append(f"{'figure':<18}{'A':>9}{'B':>9}{'B - A':>9}  {'95 % interval':<18} verdict")
    for one in found.differences:
        lines.append(
            f"{one.name:<18}{_figure(one.a):>9}{_figure(one.b):>9}{_gap(one):>9}  {_interval(one):<18} {one.verdict}"
        )
    return "\n".join([*lines, "", *notes(found)])


def as_markdown(found: Comparison, a: str, b: str) -> str:
    """The comparison as a Markdown table; the verdict on the main figure stands first."""
    lines = [
        f"**{sentence(found)}**",
        "",
        _heading(found, f"`{a}`", f"`{b}`"),
        "",
        "| figure | A | B | B − A | 95 % interval | verdict |",
        "|---|--:|--:|--:|---|---|",
    ]
    lines += ["| " + " | ".join(row) + " |" for row in as_rows(found)]
    return "\n".join([*lines, "", *notes(found)])


def as_rows(found: Comparison) -> list[list[str]]:
    """Figure, A, B, B - A, interval and verdict, one row a figure."""
    return [
        [title(one.name), _figure(one.a), _figure(one.b), _gap(one), _interval(one), one.verdict]
        for one in found.differences
    ]


def _heading(found: Comparison, a: str, b: str) -> str:
    return f"A = {a}, B = {b}: the same {found.films} films of {found.patients} patients, split {found.split}"


def notes(found: Comparison) -> list[str]:
    """How to read the comparison, and DeLong's interval of the AUROC."""
    lines = ["Intervals: paired bootstrap over patients. One comparison of a dozen figures errs more often than 5 %: "
             "decide on the first line, read the others as description."]  # fmt: skip
    if found.split == "test":
        lines.append(
            "Test films confirm a choice that was made on validation (`--split val`); they should not make it."
        )
    else:
        lines.append("Validation films chose epoch, threshold and calibration of both, so both figures flatter.")
    if found.delong is not None:
        d = found.delong
        p_value = f"p = {d.p_value:.3f}" if d.p_value >= 0.001 else "p < 0.001"
        interval = f"[{d.low:.4f}, {d.high:.4f}]"
        lines.append(f"DeLong (films taken as independent): ΔAUROC {d.difference:+.4f} {interval}, {p_value}")
    if found.only_a or found.only_b:
        lines.append(f"Left out: {found.only_a} films that only A scored, {found.only_b} that only B scored.")
    return lines


def _figure(value: float) -> str:
    return "–" if value != value else f"{value:.4f}"


def _gap(one: Difference, digits: int = 4) -> str:
    return "–" if one.b - one.a != one.b - one.a else f"{one.b - one.a:+.{digits}f}"


def _interval(one: Difference) -> str:
    return "–" if one.low != one.low else f"[{one.low:.4f}, {one.high:.4f}]"
