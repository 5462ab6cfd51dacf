"""model.tar.gz comes from outside: it is unpacked with care."""

import io
import tarfile
from pathlib import Path

import pytest

from cxr.aws.handoff import unpack_outs
from cxr.core.errors import CxrError

OUTS = [Path("models/classifier.ckpt"), Path("models/curves")]


def archive(path: Path, members: dict[str, bytes], link: str | None = None) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        if link:
            info = tarfile.TarInfo("curves")
            info.type, info.linkname = tarfile.SYMTYPE, link
            tar.addfile(info)
    return path


def test_the_outs_replace_older_ones(tmp_path: Path) -> None:
    (tmp_path / "models/curves").mkdir(parents=True)
    (tmp_path / "models/curves/old.tsv").touch()
    members = {"classifier.ckpt": b"new", "curves/loss.tsv": b"1", "not-asked-for": b""}
    unpack_outs(archive(tmp_path / "model.tar.gz", members), OUTS, tmp_path)
    assert (tmp_path / "models/classifier.ckpt").read_bytes() == b"new"
    assert [path.name for path in (tmp_path / "models/curves").iterdir()] == ["loss.tsv"]
    assert not (tmp_path / "models/not-asked-for").exists()


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "curves/../../evil"])
def test_a_member_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    path = archive(tmp_path / "model.tar.gz", {"classifier.ckpt": b"x", name: b"evil"})
    with pytest.raises(CxrError, match="is outside the folder; delete the archive"):
        unpack_outs(path, OUTS, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.tar.gz"]


def test_a_link_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "model.tar.gz", {"classifier.ckpt": b"x"}, link="/etc")
    with pytest.raises(CxrError, match="is not a regular file; delete the archive"):
        unpack_outs(path, OUTS, tmp_path)


def test_a_missing_out_leaves_everything_as_it_was(tmp_path: Path) -> None:
    path = archive(tmp_path / "model.tar.gz", {"classifier.ckpt": b"x"})
    with pytest.raises(CxrError, match="models/curves is missing"):
        unpack_outs(path, OUTS, tmp_path)
    assert not (tmp_path / "models").exists()


def test_a_broken_archive_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "model.tar.gz").write_bytes(b"not an archive")
    with pytest.raises(CxrError, match=r"model\.tar\.gz: cannot be unpacked"):
        unpack_outs(tmp_path / "model.tar.gz", OUTS, tmp_path)
