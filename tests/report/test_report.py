"""The comparison of two revisions and the report for a pull request."""

import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import pandas as pd
import pytest
import yaml

from cxr.__main__ import main
from cxr.core.errors import CxrError
from cxr.report.build import compared
from cxr.report.markdown import report_markdown
from cxr.report.model_card import model_card
from cxr.report.page import report_page
from cxr.report.revisions import WORKSPACE, read_results, staleness
from tests.evaluate.conftest import THREE
from tests.report.conftest import git, performance, write_results

SEEDS = '{"figures": {"test.auroc": {"sd": 0.005}}, "seeds": {"13": {}, "14": {}, "15": {}, "16": {}, "17": {}}}'


def _commit_seeds(root: Path) -> None:
    (root / "metrics" / "seeds.json").write_text(SEEDS)
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "seeds")


def test_compare_tells_the_difference_of_two_revisions(two_revisions: Path, capsys: pytest.CaptureFixture[str]):
    _commit_seeds(two_revisions)
    main(["compare", "base", "HEAD"])
    told = capsys.readouterr().out
    assert re.match(r"ΔAUROC -0\.\d{3} \[-0\.\d{3}, -0\.\d{3}\]: worse\n", told)
    assert "A = base, B = HEAD: the same 80 films of 40 patients, split test" in told
    assert "hierarchical bootstrap over patients and training noise (sd over 5 seeds, HEAD: metrics/seeds.json)" in told


def test_without_measured_training_noise_compare_gives_no_verdict(
    two_revisions: Path, capsys: pytest.CaptureFixture[str]
):
    main(["compare", "base", "HEAD"])
    told = capsys.readouterr().out
    assert re.match(r"ΔAUROC -0\.\d{3} \[.*\]: training noise unknown, so no verdict\n", told)
    assert "worse" not in told
    assert "`python -m cxr seeds` measures it" in told


def test_a_workspace_without_changes_has_identical_predictions(two_revisions: Path, capsys: pytest.CaptureFixture[str]):
    main(["compare", "main", "workspace", "--split", "val"])
    told = capsys.readouterr().out
    assert told.startswith("identical predictions\n")
    assert "worse" not in told


def test_the_workspace_is_compared_before_a_commit(two_revisions: Path, capsys: pytest.CaptureFixture[str]):
    _commit_seeds(two_revisions)
    write_results(two_revisions, 0.1, "0.002")
    main(["compare", "main", "workspace"])
    assert ": better\n" in capsys.readouterr().out


def test_several_runs_a_side_bring_their_own_noise(two_revisions: Path, capsys: pytest.CaptureFixture[str]):
    """Three runs of `base` and three of a far noisier idea, by branch; their parameters differ by the seed alone."""
    for number, (idea, noise) in enumerate([("a", 0.1), ("a", 0.2), ("a", 0.3), ("b", 6.0), ("b", 7.0), ("b", 8.0)]):
        git(two_revisions, "checkout", "-q", "-b", f"{idea}{number % 3}", "base")
        write_results(two_revisions, noise, "0.001" if idea == "a" else "0.01")
        params = Path("params.yaml")
        params.write_text(params.read_text().replace("seed: 13", f"seed: {number}"))
        git(two_revisions, "commit", "-q", "-am", "run")
    main(["compare", "a0,a1,a2", "b0,b1,b2"])
    told = capsys.readouterr().out
    assert ": worse\n" in told
    assert "A = a0,a1,a2 (3 runs), B = b0,b1,b2 (3 runs)" in told
    assert "sd over the 3 and 3 runs" in told
    with pytest.raises(CxrError, match=r"a0, b0: train.lr differs; list only runs that differ by train.seed alone"):
        main(["compare", "a0,b0", "b1"])


def test_the_seeds_of_a_revision_are_its_experiments_with_another_seed(
    two_revisions: Path, capsys: pytest.CaptureFixture[str]
):
    git(two_revisions, "checkout", "-q", "--detach", "base")
    base = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    for number, edit in ((14, ""), (15, ""), (16, "lr")):
        write_results(two_revisions, 0.1 * number, "0.5" if edit else "0.001")
        params = Path("params.yaml")
        params.write_text(params.read_text().replace("seed: 13", f"seed: {number}"))
        git(two_revisions, "commit", "-q", "-am", "run")
        # where DVC keeps an experiment: refs/exps/<first two digits>/<rest of the baseline>/<name>
        git(two_revisions, "update-ref", f"refs/exps/{base[:2]}/{base[2:]}/run-{number}", "HEAD")
        git(two_revisions, "reset", "-q", "--hard", "base")
    main(["compare", "base~seeds", "main"])
    assert "A = base~seeds (3 runs), B = main: " in capsys.readouterr().out
    with pytest.raises(CxrError, match=r"main: no experiment differs from it by train.seed alone; run `python"):
        main(["compare", "main~seeds", "base"])


def test_a_base_with_an_older_versions_column_names_is_named_and_compared(
    two_revisions: Path, caplog: pytest.LogCaptureFixture
):
    path = two_revisions / "metrics" / "predictions.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False).assign(baseline_logit="0")
    table.to_csv(path, index=False)
    git(two_revisions, "commit", "-qam", "older names")
    git(two_revisions, "branch", "older")
    path.write_text(table.drop(columns="baseline_logit").to_csv(index=False))
    note = "older: column names of commit 732980e or older (baseline_logit); logits are compared."
    main(["compare", "older", "base"])
    assert note in caplog.text
    main(["report", "--base", "older"])
    assert note in (two_revisions / "reports" / "report.md").read_text()


def test_metrics_of_predictions_with_an_older_versions_column_names_are_not_computed(two_revisions: Path):
    path = two_revisions / "metrics" / "predictions.csv"
    pd.read_csv(path, dtype=str, keep_default_na=False).assign(baseline_logit="0").to_csv(path, index=False)
    with pytest.raises(CxrError, match="column 'baseline_logit' of commit 732980e or older; run `dvc repro evaluate`"):
        main(["metrics"])


def test_results_with_an_older_versions_details_are_named(two_revisions: Path):
    details = two_revisions / "metrics" / "details"
    (details / "performance.json").rename(details / "figures.json")
    with pytest.raises(
        CxrError, match=r"workspace: metrics/details/figures\.json has names of commit 732980e or older"
    ):
        read_results(WORKSPACE)


def test_an_unknown_revision_is_told(two_revisions: Path):
    with pytest.raises(CxrError, match="nowhere: no such revision"):
        read_results("nowhere")


def test_a_revision_without_results_is_told(two_revisions: Path):
    git(two_revisions, "rm", "-q", "-r", "metrics")
    git(two_revisions, "commit", "-q", "-m", "no results")
    with pytest.raises(CxrError, match=r"HEAD: no metrics/predictions.csv; run `dvc repro evaluate` there"):
        read_results("HEAD")


def test_metrics_and_curves_come_back_byte_for_byte_from_predictions_alone(
    two_revisions: Path, caplog: pytest.LogCaptureFixture
):
    def content() -> dict[Path, bytes]:
        files = [path for folder in ("metrics", "plots") for path in Path(folder).rglob("*") if path.is_file()]
        return {path: path.read_bytes() for path in files}

    before = content()
    for name in ("metrics.json", "details/performance.json", "details/checks.json", "details/subgroups.json"):
        Path("metrics", name).unlink()
    for name in ("roc_test.csv", "thresholds.csv", "confusion.csv"):
        Path("plots", name).unlink()
    main(["metrics"])
    assert content() == before
    assert caplog.text == ""


def test_a_new_threshold_reaches_the_curves_as_well(two_revisions: Path, caplog: pytest.LogCaptureFixture):
    before = {path.name: path.read_bytes() for path in Path("plots").iterdir()}
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["evaluate"] |= {"threshold": "fixed@0.9", "prevalence": 0.02}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    main(["metrics"])
    assert "Grad-CAM pictures show the earlier one" in caplog.text
    after = {path.name: path.read_bytes() for path in Path("plots").iterdir()}
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] != before[name]} == {"confusion.csv", "decision_curve.csv"}
    called = pd.read_csv("plots/confusion.csv")["predicted"].eq("pneumonia").sum()
    assert (
        called
        == performance(two_revisions)["test"]["counts"]["tp"] + performance(two_revisions)["test"]["counts"]["fp"]
    )


@pytest.mark.parametrize("command", [["metrics"], ["compare", "base", "HEAD"]])
def test_metrics_and_comparison_need_no_deep_learning_library(two_revisions: Path, command: list[str]):
    code = f"""
import sys
from cxr.__main__ import main
main({command})
print([name for name in ("torch", "timm", "cv2") if name in sys.modules])"""
    root = Path(__file__).parents[2]
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.splitlines()[-1] == "[]"


def test_the_report_holds_verdict_parameters_figures_and_curves(two_revisions: Path):
    _commit_seeds(two_revisions)
    main(["report", "--base", "base"])
    text = Path("reports/report.md").read_text()
    assert re.search(r"\*\*ΔAUROC -0\.\d{3} .*: worse\*\*", text)
    assert "| train.lr | 0.001 | 0.01 |" in text
    assert re.search(r"\| test\.auroc \| [01]\.\d+ \| 0\.\d+ \|", text)
    assert "for this trained model and threshold" in text
    images = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert {Path(image).stem for image in images} >= {"roc", "precision_recall", "confusion", "learning_curves"}
    for image in images:
        picture = cv2.imread(f"reports/{image}")
        assert picture is not None
        assert picture.min() < 50 < 200 < picture.max(), f"{image} is blank"


def test_a_report_replaces_its_own_files_and_no_others(two_revisions: Path):
    others = [Path("reports", name) for name in ("predictions.csv", "external/external.json", "films.png", "shift.md")]
    stale_curve = Path("reports/images/renamed_since.png")
    for path in (*others, stale_curve, Path("reports/report.md")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("of another command")
    main(["report"])
    assert [path.read_text() for path in others] == ["of another command"] * len(others)
    assert Path("reports/report.md").read_text().startswith("# Results")
    assert Path("reports/images/roc.png").is_file()
    assert not stale_curve.exists()
    own = {"images", "report.html", "report.md"}
    assert {path.name for path in Path("reports").iterdir()} == own | {path.parts[1] for path in others}


def test_a_report_that_fails_leaves_the_last_one(two_revisions: Path):
    main(["report"])
    before = {path: path.read_bytes() for path in Path("reports").rglob("*") if path.is_file()}
    write_results(two_revisions, 0.5, "0.02")
    Path(".dvc/config").write_text("[core\n")
    with pytest.raises(CxrError, match="dvc plots"):
        main(["report"])
    assert {path: path.read_bytes() for path in Path("reports").rglob("*") if path.is_file()} == before


def test_a_first_report_has_no_base_and_says_so(two_revisions: Path):
    base, found = compared(None, read_results(WORKSPACE), Path("."))
    text = report_markdown(read_results(WORKSPACE), base, found, {}, Path("."), [])
    assert "No comparison: no base revision was named" in text


def test_a_base_of_other_classes_is_reported_without_a_comparison(two_revisions: Path):
    write_results(two_revisions, 0.5, "0.01", THREE)
    head = read_results(WORKSPACE)
    base, found = compared("base", head, Path("."))
    text = report_markdown(head, base, found, {}, Path("."), [])
    assert "No comparison: not compared with base: classes differ" in text
    assert "AUROC (macro)" in text


def test_the_model_card_gives_metrics_limits_and_that_films_are_synthetic(two_revisions: Path):
    path = Path("params.yaml")
    path.write_text(path.read_text() + "data:\n  root: data/demo\n  layout: folders\n")
    card = model_card(read_results(WORKSPACE))
    assert "**Not a medical device.**" in card
    assert "**synthetic films**" in card
    test = performance(two_revisions)["test"]
    assert f"| AUROC | {test['auroc']:.3f} [{test['auroc_low']:.3f}, {test['auroc_high']:.3f}] |" in card
    assert "it was set in advance" in card
    assert f"| fingerprint of the training data | `{'d' * 32}` |" in card


def test_the_card_of_a_cohort_without_a_test_set_warns(two_revisions: Path):
    write_results(two_revisions, 0.5, "0.01", splits=("val",))
    card = model_card(read_results(WORKSPACE))
    assert "has no test set: the model was selected on validation films, so these metrics are optimistic" in card


def test_text_from_results_cannot_become_markup(two_revisions: Path):
    path = Path("params.yaml")
    path.write_text(path.read_text().replace("lr: 0.01", "lr: </script><b>x"))
    page = report_page(read_results(WORKSPACE), None, "<b>x", Path("plots"), [])
    assert "<b>x" not in page


def test_a_page_without_a_base_leads_with_the_main_metric_and_its_interval(two_revisions: Path):
    page = report_page(read_results(WORKSPACE), None, "no base revision was named", Path("plots"), [])
    assert re.search(
        r'"verdict">AUROC \d\.\d{3} \[\d\.\d{3}, \d\.\d{3}\] on 80 test films; no base revision was named<', page
    )


def test_what_is_quoted_as_code_is_shown_as_code(two_revisions: Path):
    page = report_page(read_results(WORKSPACE), None, "no results; run `dvc repro`", Path("plots"), [])
    body = page[page.index("<body>") : page.index('id="films"')]
    assert "<code>dvc repro</code>" in body
    assert "`" not in re.sub(r"<script.*?</script>", "", body, flags=re.S)


def test_results_of_other_parameters_and_a_card_of_another_cohort_are_told(two_revisions: Path):
    Path("docs").mkdir()
    main(["model-card"])
    main(["model-card", "--check"])
    results = read_results(WORKSPACE)
    assert staleness(results) == []
    write_results(two_revisions, 0.5, "0.01")
    lock = "stages:\n  train:\n    params:\n      params.yaml:\n        train.lr: 0.01\n        train.seed: 7\n"
    Path("dvc.lock").write_text(lock)
    told = staleness(read_results(WORKSPACE))
    assert told[0].startswith("These results are out of date: train.seed changed in params.yaml;")
    assert told[1] == "docs/model_card.md describes another classifier or cohort; run `python -m cxr model-card`."
    with pytest.raises(
        CxrError, match=r"docs/model_card.md: not of the results in metrics/; run `python -m cxr model-card`"
    ):
        main(["model-card", "--check"])
    main(
        [
            "report",
        ]
    )
    assert f"**{told[1]}**" in Path("reports/report.md").read_text()
    assert "describes another classifier or cohort" in Path("reports/report.html").read_text()
