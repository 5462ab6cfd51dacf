"""docs/model_card.md from metrics, params and data facts."""

from pathlib import Path
from string import Template
from typing import Any

from cxr.report.checks import check_rows
from cxr.report.revisions import Results
from cxr.report.tables import figure, headline_rows, markdown, subgroup_table, title

DEMO = "data/demo"  # what the demo stage writes
TEMPLATE = Path(__file__).with_name("model_card.template.md")


def model_card(results: Results) -> str:
    """The text of the card; raises KeyError where metrics are of another version."""
    metrics, data, params = results.metrics, results.data, results.params
    cohort, point = params.get("data", {}), results.point
    root = str(cohort.get("root", "unknown"))
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        model=_facts(results),
        root=root,
        layout=cohort.get("layout", "unknown"),
        synthetic=": **synthetic films**, drawn by this repository; no person is in them" if root == DEMO else "",
        splits=_splits(data),
        quarantined=data.get("quarantined", "unknown"),
        dropped=data.get("dropped_for_leakage", "unknown"),
        classes=", ".join(point.classes),
        patients=_patients(cohort),
        scope=_scope(metrics),
        operating_point=_operating_point(results),
        figures=markdown(["figure", "test", "validation"], headline_rows(metrics)),
        at_half=_at_half(metrics),
        prevalence=_prevalence(metrics),
        subgroups=markdown(*subgroup_table(results.subgroups)),
        checks=markdown(["check", "value"], check_rows(metrics)),
        segment=_segment(results.segment),
        threshold_interval=_threshold_interval(results),
        calibration=point.temperature_reason and f"Here: {point.temperature_reason}; probabilities are as trained.",
    )


def _patients(cohort: dict[str, Any]) -> str:
    if cohort.get("patient_from") == "image":
        return (
            "**Films are not grouped by patient** (`patient_from: image`): films of one person may lie in several "
            "splits, and intervals take every film for a person of its own; both flatter."
        )
    return "Patients never cross splits."


def _facts(results: Results) -> str:
    train = results.params.get("train", {})
    rows = [
        ["task", f"{' / '.join(results.point.classes)}, one frontal film at a time"],
        ["network", f"{train.get('backbone', 'unknown')} (timm), linear head"],
        ["starting weights", str(train.get("weights", "unknown"))],
        ["input", f"{results.params.get('preprocess', {}).get('image_px', '?')} px, region "
                  f"`{results.params.get('preprocess', {}).get('region', '?')}`, lung mask channel "
                  f"`{train.get('mask_channel', '?')}`"],
        ["weights' fingerprint", f"`{results.point.classifier}`"],
        ["decision", _operating_point(results)],
    ]  # fmt: skip
    return "\n".join(f"| {name} | {value} |" for name, value in rows)


def _operating_point(results: Results) -> str:
    point = results.point
    if point.threshold is None:
        return f"the likeliest class; temperature {point.temperature:.3f}"
    return f"rule `{point.rule}`: probability ≥ {point.threshold:.3f}; temperature {point.temperature:.3f}"


def _splits(data: dict[str, Any]) -> str:
    splits = data.get("splits", {})
    names = list(dict.fromkeys(name for split in splits.values() for name in split))
    rows = [[split, *(str(facts.get(name, "–")) for name in names)] for split, facts in splits.items()]
    return markdown(["split", *names], rows)


def _scope(metrics: dict[str, Any]) -> str:
    if metrics["reported_split"] == "test":
        return "Test films were set aside before training."
    return "**This cohort has no test set: validation films chose the model, so these figures flatter it.**"


def _at_half(metrics: dict[str, Any]) -> str:
    block = metrics[metrics["reported_split"]].get("at_half")
    if block is None:
        return "given for two classes only"
    return ", ".join(f"{title(name)} {figure(block, name)}" for name in block if not name.endswith("_reason"))


def _prevalence(metrics: dict[str, Any]) -> str:
    block = metrics[metrics["reported_split"]].get("prevalence")
    if block is None:
        return "Given for two classes only."
    percents = sorted({int(name.rpartition("_")[2]) for name in block if not name.endswith("_reason")})
    rows = [
        [f"{percent} %", figure(block, f"ppv_at_{percent}"), figure(block, f"npv_at_{percent}")] for percent in percents
    ]
    return markdown(["prevalence", "PPV", "NPV"], rows)


def _segment(segment: dict[str, Any]) -> str:
    names = [name for name in segment if not name.endswith("_reason")]
    return markdown(["figure", "value"], [[name.replace("_", " "), _plain(segment, name)] for name in names])


def _plain(block: dict[str, Any], name: str) -> str:
    return figure(block, name) if block[name] is None else str(block[name])


def _threshold_interval(results: Results) -> str:
    low, high = results.point.threshold_low, results.point.threshold_high
    if low is None or high is None:
        return "no interval could be given here"
    return f"resampled validation patients put it between {low:.3f} and {high:.3f}"
