"""What a bundle says about itself."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cxr.bundle.files import CARD, REFERENCE, write_sums
from cxr.bundle.reference import read_reference
from cxr.core.errors import CxrError
from cxr.package.documents import SHOWN, model_card
from cxr.publish.facts import BundleFacts, Metric, data_digests, read_facts
from tests.bundles import ROOT


def test_the_metrics_are_those_that_packaging_wrote_into_the_card(facts: BundleFacts) -> None:
    assert (facts.split, facts.films) == ("test", 12)
    assert facts.metrics == (Metric("auroc", 0.5, 0.3, 0.7),)  # ece has a reason instead of a value


def test_every_metric_of_the_card_is_read_back(facts: BundleFacts, tmp_path: Path) -> None:
    values = {name: 0.25 + place / 100 for place, name in enumerate(SHOWN)}
    bounds = {f"{name}_{end}": 0.125 for name in SHOWN for end in ("low", "high") if name != "ece"}
    performance = {"val": {"films": 7, **values, **bounds}, "reported_split": "val"}
    reference = read_reference(facts.folder / REFERENCE)
    card = model_card(facts.config, reference, facts.provenance, performance)
    copy = rewritten(facts, tmp_path, card)
    assert (copy.split, copy.films) == ("val", 7)
    assert {metric.name: metric.value for metric in copy.metrics} == values
    assert [metric.name for metric in copy.metrics if metric.low is None] == ["ece"]


def test_the_committed_bundle_has_metrics() -> None:
    facts = read_facts(ROOT / "models/chest_xray")
    assert facts.metrics[0] == Metric("auroc", 0.994, 0.984, 0.998)


def test_a_card_without_metrics_is_one_line(facts: BundleFacts, tmp_path: Path) -> None:
    with pytest.raises(CxrError, match=r"model_card\.md: no table of metrics; make the bundle again"):
        rewritten(facts, tmp_path, "# Card\n")


def test_the_digests_of_the_classifier_of_the_checkout_are_those_of_dvc(facts: BundleFacts, workspace: Path) -> None:
    outs = {"ingest": [("data/manifest.csv", "a" * 32)], "preprocess": [("data/npz", "b" * 32 + ".dir")]}
    lines = ["stages:"]
    for stage, entries in outs.items():
        lines += [f"  {stage}:", "    outs:"]
        lines += [line for path, md5 in entries for line in (f"    - path: {path}", f"      md5: {md5}")]
    (workspace / "dvc.lock").write_text("\n".join(lines), encoding="utf-8")
    point = workspace / "models/operating_point.json"
    point.parent.mkdir()
    point.write_text(json.dumps({"classifier": facts.classifier}), encoding="utf-8")
    assert data_digests(facts) == {"data/manifest.csv": "a" * 32, "data/npz": "b" * 32 + ".dir"}
    point.write_text(json.dumps({"classifier": "another"}), encoding="utf-8")
    assert data_digests(facts) == {"training data": "d" * 32, "films": facts.provenance["films_hash"]}


def test_the_lock_file_of_the_repository_has_the_digests(facts: BundleFacts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    committed = json.loads(Path("models/operating_point.json").read_text(encoding="utf-8"))["classifier"]
    ours = replace(facts, provenance={**facts.provenance, "classifier": committed})
    assert set(data_digests(ours)) == {"data/manifest.csv", "data/npz"}


def rewritten(facts: BundleFacts, folder: Path, card: str) -> BundleFacts:
    """The facts of a copy of the bundle with another card."""
    copy = folder / "copy"
    shutil.copytree(facts.folder, copy)
    (copy / CARD).write_text(card, encoding="utf-8")
    write_sums(copy)
    return read_facts(copy)
