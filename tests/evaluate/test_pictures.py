"""Pictures of people stay out of Git unless a setting says otherwise."""

from pathlib import Path

import pytest

from cxr.core.errors import CxrError
from cxr.evaluate.pictures import publish_pictures


@pytest.mark.parametrize(
    ("setting", "synthetic", "published"),
    [("auto", True, True), ("auto", False, False), ("always", False, True), ("never", True, False)],
)
def test_pictures_go_to_git_where_setting_and_cohort_allow_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, setting: str, synthetic: bool, published: bool
) -> None:
    pictures, plots = tmp_path / "pictures", tmp_path / "plots"
    for folder in (pictures, plots):
        folder.mkdir()
    (pictures / "gradcam.png").write_bytes(b"film")
    with caplog.at_level("INFO"):
        publish_pictures(pictures, plots, setting, {"synthetic": synthetic})
    assert (plots / "gradcam.png").is_file() == published
    assert ("pictures of films are in data/pictures/" in caplog.text) != published


def test_an_audit_of_an_earlier_version_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CxrError, match=r"data/audit\.json: no key"):
        publish_pictures(tmp_path, tmp_path, "auto", {"films": 3})
