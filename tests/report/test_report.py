"""The comparison of two revisions and the report for a pull request."""

import re
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from cxr.core.errors import CxrError
from cxr.report.build import compared
from cxr.report.markdown import report_markdown
from cxr.report.model_card import model_card
from cxr.report.page import report_page
from cxr.report.revisions import WORKSPACE, read_results
from tests.evaluate.conftest import THREE
from tests.report.conftest import git, write_results
from tests.report.conftest import metrics as metrics_of
from tools import compare, metrics, report


def test_compare_tells_the_difference_of_two_revisions(two_revisions: Path, capsys: pytest.CaptureFixture[str]):
    compare.main(["base", "HEAD"])
    told = capsys.readouterr().out
    assert re.match(r"ΔAUROC -0\.\d{3} \[-0\.\d{3}, -0\.\d{3}\]: worse\n", told)
    assert "A = base, B = HEAD: the same 80 films of 40 patients, split test" in told
    assert "DeLong (films taken as independent): ΔAUROC -0." in told


def test_a_revision_does_not_differ_from_itself(two_revisions: Path, capsys: pytest.CaptureFixture[str]):
    compare.main(["HEAD", "workspace", "--split", "val"])
    told = capsys.readouterr().out
    assert told.startswith("ΔAUROC +0.000 [0.000, 0.000]: not distinguishable")
    assert "worse" not in told


def test_an_unknown_revision_is_told(two_revisions: Path):
    with pytest.raises(CxrError, match="nowhere: no such revision"):
        read_results("nowhere")


def test_a_revision_without_results_is_told(two_revisions: Path):
    git(two_revisions, "rm", "-q", "-r", "metrics")
    git(two_revisions, "commit", "-q", "-m", "no results")
    with pytest.raises(CxrError, match=r"HEAD: no metrics/predictions.csv; run `dvc repro evaluate` there"):
        read_results("HEAD")


def test_metrics_come_back_byte_for_byte_from_predictions_alone(two_revisions: Path):
    before = {path: path.read_bytes() for path in sorted(Path("metrics").iterdir())}
    for name in ("metrics.json", "subgroups.json"):
        Path("metrics", name).unlink()
    metrics.main()
    assert {path: path.read_bytes() for path in sorted(Path("metrics").iterdir())} == before


def test_metrics_need_no_deep_learning_library():
    code = "import sys, tools.metrics, tools.compare; print([n for n in ('torch', 'timm', 'cv2') if n in sys.modules])"
    root = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_report_holds_verdict_parameters_figures_and_curves(two_revisions: Path):
    report.main(["--base", "base"])
    text = Path("reports/report.md").read_text()
    assert re.search(r"\*\*ΔAUROC -0\.\d{3} .*: worse\*\*", text)
    assert "| train.lr | 0.001 | 0.01 |" in text
    assert "| operating_point.temperature |" in text
    images = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert {Path(image).stem for image in images} >= {"roc", "precision_recall", "confusion", "learning_curves"}
    for image in images:
        picture = cv2.imread(f"reports/{image}")
        assert picture is not None
        assert picture.min() < 50 < 200 < picture.max(), f"{image} is blank"


def test_a_first_report_has_no_base_and_says_so(two_revisions: Path):
    base, found = compared(None, read_results(WORKSPACE), Path("."))
    text = report_markdown(read_results(WORKSPACE), base, found, {}, Path("."))
    assert "No comparison: no base revision was named" in text


def test_a_base_of_other_classes_is_reported_without_a_comparison(two_revisions: Path):
    write_results(two_revisions, 0.5, "0.01", THREE)
    head = read_results(WORKSPACE)
    base, found = compared("base", head, Path("."))
    text = report_markdown(head, base, found, {}, Path("."))
    assert "No comparison: not compared with base: classes differ" in text
    assert "AUROC (macro)" in text


def test_the_model_card_tells_figures_limits_and_that_films_are_synthetic(two_revisions: Path):
    path = Path("params.yaml")
    path.write_text(path.read_text() + "data:\n  root: data/demo\n  layout: folders\n")
    card = model_card(read_results(WORKSPACE))
    assert "**Not a medical device.**" in card
    assert "**synthetic films**" in card
    test = metrics_of(two_revisions)["test"]
    assert f"| AUROC | {test['auroc']:.3f} [{test['auroc_low']:.3f}, {test['auroc_high']:.3f}] |" in card
    assert "resampled validation patients put it between 0." in card


def test_the_card_of_a_cohort_without_a_test_set_warns(two_revisions: Path):
    write_results(two_revisions, 0.5, "0.01", splits=("val",))
    card = model_card(read_results(WORKSPACE))
    assert "has no test set: validation films chose the model, so these figures flatter it" in card


def test_text_from_results_cannot_become_markup(two_revisions: Path):
    path = Path("params.yaml")
    path.write_text(path.read_text().replace("lr: 0.01", "lr: </script><b>x"))
    page = report_page(read_results(WORKSPACE), None, "<b>x", Path("plots"))
    assert "<b>x" not in page
