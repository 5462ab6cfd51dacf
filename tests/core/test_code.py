from collections.abc import Callable
from pathlib import Path

import pytest

from cxr.core import code

FILM = '"""Doc."""\n\nimport numpy\nfrom cxr.films.frame import box\n\n\ndef film():\n    """Doc."""\n    return box\n'


@pytest.fixture
def version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """A function that gives the version of cxr.films.film in a small tree, with the given modules replaced."""

    def version(**texts: str) -> str:
        modules = {
            "film": FILM,
            "frame": "from cxr.core import files\nimport cxr.runtime.console.bar\n\nbox = files\n",
            "unused": "x = 1\n",
            "files": "y = 1\n",
            "bar": "z = 1\n",
            **texts,
        }
        for name, text in modules.items():
            package = {"files": "core", "bar": "console"}.get(name, "films")
            path = tmp_path / "cxr" / package / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        monkeypatch.setattr(code, "ROOT", tmp_path)
        return code.code_version("cxr.films.film")

    return version


def test_comments_docstrings_and_formatting_change_no_version(version: Callable[..., str]) -> None:
    assert version(film=FILM.replace("Doc.", "Prose.").replace("return box", "return  box  # why")) == version()


@pytest.mark.parametrize(
    ("module", "text"), [("film", FILM + "\nx = 1\n"), ("frame", "box = 1\n"), ("files", "y = 2\n")]
)
def test_an_edit_of_an_imported_module_changes_the_version(version: Callable[..., str], module: str, text: str) -> None:
    assert version(**{module: text}) != version()


@pytest.mark.parametrize("module", ["unused", "bar"])
def test_an_edit_of_a_module_that_is_not_imported_or_decides_no_result_does_not(
    version: Callable[..., str], module: str
) -> None:
    assert version(**{module: "changed = True\n"}) == version()


def test_the_version_of_a_lung_mask_covers_the_modules_that_find_it_and_no_others() -> None:
    modules = code.reached("cxr.segment.film")
    assert {"cxr.segment.lungs", "cxr.films.read", "cxr.films.dicom", "cxr.films.letterbox"} <= modules
    assert not {"cxr.segment.segment", "cxr.segment.table", "cxr.films.cache"} & modules


def test_a_module_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ModuleNotFoundError):
        code.code_version("cxr.segment.flim")
