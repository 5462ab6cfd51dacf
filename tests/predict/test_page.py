"""The page in a real browser: a person drops films, moves the heat map, uses the keyboard and a telephone."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import pytest
import uvicorn
from playwright.sync_api import Page, expect

from cxr.predict.service.access import Access
from cxr.predict.service.app import create_app
from cxr.predict.service.workers import Limits
from tests.conftest import phantom


@pytest.fixture
def address(fake: Any) -> Iterator[str]:
    """The service on a free port of this machine."""
    with page_of(fake, Access()) as url:
        yield url


@contextmanager
def page_of(fake: Any, access: Access) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    app = create_app(lambda: fake, Limits(max_bytes=1_000_000), access)
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def films(tmp_path: Path) -> list[Path]:
    """A dark film, a bright one, and a file that is none."""
    film, _ = phantom()
    dark, bright, text = (tmp_path / name for name in ("dark.png", "bright.png", "notes.png"))
    cv2.imwrite(str(dark), film // 2)
    cv2.imwrite(str(bright), 128 + film // 2)
    text.write_text("no film")
    return [dark, bright, text]


def read(page: Page, address: str, films: list[Path]) -> None:
    page.goto(address)
    page.set_input_files("#files", [str(film) for film in films])
    expect(page.locator("#status")).to_contain_text("rejected.")
    expect(page.locator("article")).to_have_count(len(films))


def test_the_page_asks_once_for_the_token_of_the_service(browser: Any, fake: Any, films: list[Path]) -> None:
    with page_of(fake, Access("secret")) as url:
        page = browser.new_page()
        page.goto(url)
        for token in ("wrong", "secret"):
            page.get_by_label("Access token").fill(token)
            page.get_by_role("button", name="Continue").click()
        expect(page.locator("#access")).to_be_hidden()
        read(page, url, films)  # which loads the page anew
        assert page.locator("article.rejected").count() == 1
        page.close()


@pytest.mark.parametrize("width", [1200, 400])
def test_predictions_are_shown_beside_their_pictures_and_no_request_leaves_the_service(
    browser: Any, address: str, films: list[Path], width: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    requests: list[str] = []
    faults: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: faults.append(str(error)))
    read(page, address, films)
    assert page.inner_text("#status") == "3 films: 1 at or above the threshold, 1 flagged, 1 rejected."
    assert "Pneumonia: at or above the threshold" in page.inner_text("article.above")
    assert "Of 100 validation films" in page.inner_text("article.above")
    assert "do not rely" not in page.inner_text("article.above")
    flagged = page.inner_text("article.below")
    assert flagged.index("Flagged: do not rely") < flagged.index("out of distribution") < flagged.index("Pneumonia")
    assert "validation films" not in flagged, "the observed share holds for unflagged films only"
    assert "Not read: cannot be decoded" in page.inner_text("article.rejected")
    assert page.locator("article.above .view img").evaluate_all("images => images.every(i => i.naturalWidth > 0)")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
    assert all(url.startswith((address, "data:")) for url in requests)
    assert not faults
    page.close()


def test_the_banner_stays_in_view_while_scrolling(browser: Any, address: str, films: list[Path]) -> None:
    page = browser.new_page(viewport={"width": 400, "height": 500})
    read(page, address, films)
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    box = page.locator(".banner").bounding_box()
    assert box["y"] == 0
    assert "Research use only" in page.inner_text(".banner")
    page.close()


def test_heat_map_and_outline_are_controlled_from_the_keyboard(browser: Any, address: str, films: list[Path]) -> None:
    page = browser.new_page()
    read(page, address, films)
    page.focus("#heat")
    page.keyboard.press("Home")
    assert page.locator("article.above .heat").evaluate("layer => layer.style.opacity") == "0"
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert page.locator("article.above .lungs").evaluate("layer => getComputedStyle(layer).visibility") == "hidden"
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.locator("article").count() == 0
    assert page.evaluate("document.activeElement.id") == "files"
    page.close()


def test_controls_pictures_and_the_scale_have_names_for_screen_readers(
    browser: Any, address: str, films: list[Path]
) -> None:
    page = browser.new_page()
    read(page, address, films)
    for role, name in (("slider", "Heat map"), ("checkbox", "Lung outline"), ("button", "Save as CSV")):
        assert page.get_by_role(role, name=re.compile(name)).count() == 1
    assert page.get_by_role("img", name="Film bright.png").count() == 1
    assert page.locator("article.above .scale").get_attribute("aria-label").startswith("Probability ")
    assert page.locator("#status").get_attribute("aria-live") == "polite"
    page.close()


def test_predictions_are_saved_as_csv_with_formulas_escaped(
    browser: Any, address: str, films: list[Path], tmp_path: Path
) -> None:
    films[0] = films[0].rename(tmp_path / "=1+1.png")
    page = browser.new_page()
    read(page, address, films)
    with page.expect_download() as download:
        page.click("#save")
    text = Path(download.value.path()).read_text()
    assert '"\'=1+1.png"' in text
    assert "Research use only" in text
    assert len(text.splitlines()) == 5
    page.close()


def test_a_film_over_the_size_limit_is_not_sent(browser: Any, address: str, tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    large.write_bytes(bytes(1_000_001))
    page = browser.new_page()
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    read(page, address, [large])
    assert "Not read: larger than 1 MB" in page.inner_text("article")
    assert not any("invocations" in url for url in requests)
    page.close()
