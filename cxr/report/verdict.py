"""A comparison as text, for a terminal and in Markdown."""

from collections.abc import Sequence

from cxr.core.errors import CxrError
from cxr.evaluate.config import EvaluateSection
from cxr.report.comparison import SEEDS, Comparison, Difference, TrainingNoise, compare, noise_of_file
from cxr.report.revisions import RunResults
from cxr.report.tables import title

SPLITS = ("test", "val")


def compare_results(
    a: Sequence[RunResults], b: Sequence[RunResults], section: EvaluateSection, split: str = "auto"
) -> Comparison:
    """B against A on one split; `auto` takes test, or validation where a run has no test set.

    Training noise comes from the runs, or else from metrics/seeds.json of A, or of B.
    """
    if split == "auto":
        both = [name for name in SPLITS if all((one.run.table["split"] == name).any() for one in (*a, *b))]
        if not both:
            raise CxrError(f"{a[0].name} and {b[0].name} have no split in common; compare revisions of one cohort")
        split = both[0]
    noise = _noise([*a, *b], split)
    return compare([one.run for one in a], [one.run for one in b], split, section, noise)


def _noise(runs: Sequence[RunResults], split: str) -> TrainingNoise | None:
    for run in runs:
        if run.seeds is not None:
            return noise_of_file(run.seeds, split, f"{run.name}: {SEEDS}")
    return None


def sentence(found: Comparison) -> str:
    """The verdict on the main metric, such as `ΔAUROC +0.012 [-0.003, 0.027]: no difference shown`."""
    if found.identical:
        return found.verdict
    one = found.differences[0]
    interval = f"[no interval: {one.no_interval}]" if one.no_interval else f"[{one.low:.3f}, {one.high:.3f}]"
    return f"Δ{title(one.name)} {_gap(one, 3)} {interval}: {found.verdict}"


def as_text(found: Comparison, a: str, b: str) -> str:
    """The comparison as aligned lines."""
    lines = [sentence(found), "", heading(found, a, b)]
    if found.identical:
        return "\n".join(lines)
    lines += ["", f"{'metric':<18}{'A':>9}{'B':>9}{'B - A':>9}  {'95 % CI':<18} {'p':<7} verdict"]
    for one in found.differences:
        numbers = f"{one.name:<18}{_value(one.a):>9}{_value(one.b):>9}{_gap(one):>9}"
        lines.append(f"{numbers}  {_interval(one):<18} {_p_value(one):<7} {one.verdict}".rstrip())
    return "\n".join([*lines, "", *notes(found)])


def as_markdown(found: Comparison, a: str, b: str) -> str:
    """The comparison as a Markdown table, below the verdict on the main metric."""
    lines = [f"**{sentence(found)}**", "", heading(found, f"`{a}`", f"`{b}`")]
    if found.identical:
        return "\n".join(lines)
    lines += ["", "| metric | A | B | B − A | 95 % CI | p | verdict |", "|---|--:|--:|--:|---|--:|---|"]
    lines += ["| " + " | ".join(row) + " |" for row in as_rows(found)]
    return "\n".join([*lines, "", *(f"- {note}" for note in notes(found))])


def as_rows(found: Comparison) -> list[list[str]]:
    """Metric, A, B, B - A, 95 % CI, p-value and verdict, one row per metric."""
    return [
        [title(one.name), _value(one.a), _value(one.b), _gap(one), _interval(one), _p_value(one), one.verdict]
        for one in found.differences
    ]


def heading(found: Comparison, a: str, b: str) -> str:
    """The names of A and B, and the films that they are compared on."""
    runs = [f" ({count} runs)" if count > 1 else "" for count in found.runs]
    sizes = f"the same {found.films} films of {found.patients} patients, split {found.split}"
    return f"A = {a}{runs[0]}, B = {b}{runs[1]}: {sizes}"


def notes(found: Comparison) -> list[str]:
    """Notes below the comparison."""
    lines = [_noise_note(found)]
    lines.append(
        "The verdict on the main metric decides. p of the other metrics is adjusted for their number (Holm). A metric "
        "without a verdict has no known training noise."
    )
    if found.split == "test":
        lines.append("Choose on validation films (--split val) and use test films only to confirm the choice.")
    else:
        lines.append("Epoch, threshold and calibration of A and B were chosen on these films, so both are optimistic.")
    if found.only_a or found.only_b:
        lines.append(f"Left out: {found.only_a} films that only A scored, {found.only_b} that only B scored.")
    return lines


def _noise_note(found: Comparison) -> str:
    if found.same_weights:
        return "95 % CI: bootstrap over patients. A and B have the same weights, so there is no training noise."
    if found.noise is None:
        return (
            "95 % CI: bootstrap over patients alone. Training noise is unknown, so there is no verdict: another seed "
            "may change every metric by more than this. `python -m cxr seeds` measures it."
        )
    return f"95 % CI: hierarchical bootstrap over patients and training noise ({found.noise.source})."


def _value(value: float) -> str:
    return "–" if value != value else f"{value:.4f}"


def _gap(one: Difference, digits: int = 4) -> str:
    return "–" if one.b - one.a != one.b - one.a else f"{one.b - one.a:+.{digits}f}"


def _interval(one: Difference) -> str:
    return "–" if one.low != one.low else f"[{one.low:.4f}, {one.high:.4f}]"


def _p_value(one: Difference) -> str:
    return "–" if one.p != one.p else "< 0.01" if one.p < 0.01 else f"{one.p:.2f}"
