"""docs/model_card.md from metrics, parameters and the data audit."""

import json
from pathlib import Path
from string import Template
from typing import Any

from cxr.report.revisions import Results
from cxr.report.tables import (
    calibration_rows,
    cell,
    check_rows,
    headline_rows,
    markdown,
    predictive_rows,
    reported,
    subgroup_table,
    title,
)

DEMO = "data/demo"  # what the demo stage writes
TEMPLATE = Path(__file__).with_name("model_card.template.md")


def model_card(results: Results) -> str:
    """The text of the card; raises KeyError where the metrics have another version."""
    details, params, point = results.details, results.params, results.run.point
    performance, data, cohort = details["performance"], details["data"], params.get("data", {})
    root = str(cohort.get("root", "unknown"))
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        model=_facts(results),
        root=root,
        layout=cohort.get("layout", "unknown"),
        synthetic=": **synthetic films** drawn by this repository, which show no person" if root == DEMO else "",
        splits=_splits(data),
        quarantined=data.get("quarantined", "unknown"),
        dropped=data.get("dropped_for_leakage", "unknown"),
        classes=", ".join(point.classes),
        patients=_patients(cohort),
        scope=_scope(performance),
        operating_point=_operating_point(results),
        metrics=markdown(["metric", "test", "validation"], headline_rows(performance)),
        at_threshold_0_5=_at_threshold_0_5(performance),
        calibration_metrics=_table(["metric", "value"], calibration_rows(performance)),
        prevalence=_table(["prevalence", "PPV", "NPV"], predictive_rows(performance)),
        subgroups=markdown(*subgroup_table(details["subgroups"])),
        checks=markdown(["check", "value", "chance"], check_rows(details["checks"])),
        segment=_segment(details["segmentation"]),
        threshold_interval=_threshold_interval(results),
        seeds=_seeds(results),
        calibration=point.temperature_reason and f"Here: {point.temperature_reason}; probabilities are as trained.",
    )


def _patients(cohort: dict[str, Any]) -> str:
    if cohort.get("patient_from") == "image":
        return (
            "**Films are not grouped by patient** (`patient_from: image`): films of one person may be in several "
            "splits, and intervals count each film as a patient. The metrics are optimistic and the intervals narrow."
        )
    return "All films of a patient are in one split."


def _facts(results: Results) -> str:
    train = results.params.get("train", {})
    rows = [
        ["task", f"{' / '.join(results.run.point.classes)}, one frontal film at a time"],
        ["network", f"{train.get('backbone', 'unknown')} (timm), linear head"],
        ["starting weights", str(train.get("weights", "unknown"))],
        ["input", f"{results.params.get('preprocess', {}).get('image_px', '?')} px, region "
                  f"`{results.params.get('preprocess', {}).get('region', '?')}`, lung mask channel "
                  f"`{train.get('mask_channel', '?')}`"],
        ["fingerprint of the weights", f"`{results.run.point.classifier}`"],
        ["fingerprint of the training data", f"`{results.details['training']['provenance']['data']}`"],
        ["decision", _operating_point(results)],
    ]  # fmt: skip
    return "\n".join(f"| {name} | {value} |" for name, value in rows)


def _operating_point(results: Results) -> str:
    point = results.run.point
    if point.threshold is None:
        return f"the most probable class; temperature {point.temperature:.3f}"
    return f"rule `{point.rule}`: probability ≥ {point.threshold:.3f}; temperature {point.temperature:.3f}"


def _splits(data: dict[str, Any]) -> str:
    splits = data.get("splits", {})
    names = list(dict.fromkeys(name for split in splits.values() for name in split))
    rows = [[split, *(str(facts.get(name, "–")) for name in names)] for split, facts in splits.items()]
    return markdown(["split", *names], rows)


def _scope(performance: dict[str, Any]) -> str:
    if performance["reported_split"] == "test":
        return "Test films were held out from training."
    return (
        "**This cohort has no test set: the model was selected on validation films, so these metrics are optimistic.**"
    )


def _at_threshold_0_5(performance: dict[str, Any]) -> str:
    block = reported(performance).get("at_threshold_0_5")
    if block is None:
        return "defined for two classes only"
    return ", ".join(f"{title(name)} {cell(block, name)}" for name in block if not name.endswith("_reason"))


def _table(header: list[str], rows: list[list[str]]) -> str:
    return markdown(header, rows) if rows else "Defined for two classes only."


def _seeds(results: Results) -> str:
    if results.seeds is None:
        return "Metrics vary with the training seed; `python -m cxr seeds` measures by how much."
    document = json.loads(results.seeds)
    rows = [
        [name, *(f"{facts[key]:.3f}" for key in ("mean", "sd", "min", "max"))]
        for name, facts in document["figures"].items()
        if not name.endswith(("_low", "_high")) and facts["sd"] is not None
    ]
    heading = f"Over {len(document['seeds'])} training seeds, including that of the weights described here:"
    return heading + "\n\n" + markdown(["metric", "mean", "sd", "lowest", "highest"], rows)


def _segment(segment: dict[str, Any]) -> str:
    names = [name for name in segment if not name.endswith("_reason")]
    return markdown(["metric", "value"], [[name.replace("_", " "), _plain(segment, name)] for name in names])


def _plain(block: dict[str, Any], name: str) -> str:
    return cell(block, name) if block[name] is None else str(block[name])


def _threshold_interval(results: Results) -> str:
    low, high = results.run.point.threshold_low, results.run.point.threshold_high
    if results.run.point.rule.startswith("fixed"):
        return "it was set in advance"
    if low is None or high is None:
        return "it has no interval"
    return f"its 95 % CI over validation patients is {low:.3f} to {high:.3f}"
