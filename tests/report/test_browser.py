"""report.html in a real browser: no request leaves it, and the slider changes the numbers."""

import itertools
from pathlib import Path

import pytest
from playwright.sync_api import Page

from cxr.core.files import write_text
from cxr.report.build import build_report
from cxr.report.page import report_page
from cxr.report.revisions import WORKSPACE, read_results
from tests.evaluate.conftest import THREE
from tests.report.conftest import performance, write_results


def _open(browser, report: Path) -> tuple[Page, list[str], list[str]]:
    page = browser.new_page(viewport={"width": 1250, "height": 900})
    page.set_default_timeout(180_000)  # plotly.js is five megabytes; a busy machine takes its time
    requests: list[str] = []
    faults: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.goto(report.resolve().as_uri())
    page.wait_for_selector("#pr .main-svg")
    return page, requests, faults


def _numbers(page: Page) -> dict[str, float]:
    names = ("sensitivity", "specificity", "ppv", "npv", "accuracy", "tp", "fp", "fn", "tn")
    return {name: float(page.inner_text(f"#{name}")) for name in names}


def _move(page: Page, threshold: float) -> None:
    page.eval_on_selector(
        "#threshold",
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')); }",
        threshold,
    )


def test_the_report_asks_the_network_for_nothing_and_its_slider_recomputes_the_figures(browser, two_revisions: Path):
    build_report("base", Path("reports"))
    page, requests, faults = _open(browser, Path("reports/report.html"))

    test = performance(two_revisions)["test"]
    at_start = _numbers(page)
    assert at_start["sensitivity"] == pytest.approx(test["sensitivity"], abs=6e-4)
    assert at_start["specificity"] == pytest.approx(test["specificity"], abs=6e-4)
    assert at_start["ppv"] == pytest.approx(test["precision"], abs=6e-4)
    assert {name: at_start[name] for name in test["counts"]} == test["counts"]
    assert float(page.inner_text("#ppv-at")) == pytest.approx(test["prevalence"]["ppv_at_10"], abs=2e-3)

    films = read_results(WORKSPACE).run.table.query("split == 'test'")
    left_to_right = [
        page.locator(name).first.bounding_box() for name in ("#roc .main-svg", "#pr .main-svg", "#figures")
    ]
    for box, following in itertools.pairwise(left_to_right):
        assert box["x"] + box["width"] <= following["x"] + 1, "a figure lies over its neighbour"

    strict = round(float(films["probability"].quantile(0.85)), 3)  # as fine as the slider
    _move(page, strict)
    stricter = _numbers(page)
    called = films["probability"] >= strict
    assert stricter["tp"] == (called & (films["label"] == "pneumonia")).sum()
    assert stricter["specificity"] > at_start["specificity"]
    assert stricter["sensitivity"] < at_start["sensitivity"]
    marked = page.evaluate("document.getElementById('roc').data.at(-1).y[0]")
    assert marked == pytest.approx(stricter["sensitivity"], abs=6e-4)

    page.click("#reset")
    assert _numbers(page) == at_start
    page.select_option("#series", label="validation: pneumonia")
    assert page.inner_text("#tp") == str(performance(two_revisions)["validation"]["counts"]["tp"])

    assert faults == []
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
    page.close()


def test_three_classes_offer_each_against_the_rest(browser, two_revisions: Path):
    write_results(two_revisions, 0.5, "0.01", THREE)
    write_text(Path("reports/report.html"), report_page(read_results(WORKSPACE), None, "no base", Path("plots"), []))
    page, _, faults = _open(browser, Path("reports/report.html"))
    assert page.locator("#series option").all_inner_texts()[:3] == [f"test: {name}" for name in THREE]
    page.select_option("#series", label="test: viral")
    assert sum(_numbers(page)[name] for name in ("tp", "fp", "fn", "tn")) == 80
    assert faults == []
    page.close()
