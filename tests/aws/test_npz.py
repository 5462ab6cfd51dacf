"""Publishing an NPZ set on a real S3 server."""

import itertools
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from cxr.__main__ import main
from cxr.aws.container.workspace import SPLITS
from cxr.aws.npz import fetch_channels, plan_channels, publish_channels
from cxr.aws.objects import parse_url
from cxr.aws.s3 import Store
from cxr.core.errors import CxrError
from testing.seaweed import Cable, SeaweedFS


def keys(s3: Any, bucket: str) -> set[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {entry["Key"] for page in pages for entry in page.get("Contents", [])}


def test_the_address_is_the_hash_of_the_folder_in_dvc(npz_set: Path) -> None:
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.db import HashFileDB
    from dvc_objects.fs.local import LocalFileSystem

    fs = LocalFileSystem()
    _, _, tree = build(HashFileDB(fs, str(npz_set.parent / "odb")), str(npz_set), fs, "md5", dry_run=True)
    assert f"{plan_channels(npz_set).data_md5}.dir" == tree.oid


def test_films_go_below_their_split_with_manifest_and_marker(s3: Any, bucket: str, npz_set: Path, capsys: Any) -> None:
    main(["publish", str(npz_set), f"s3://{bucket}/npz/"])
    md5 = plan_channels(npz_set).data_md5
    assert capsys.readouterr().out == f"s3://{bucket}/npz/{md5}/\n"
    films = {f"npz/{md5}/{path.relative_to(npz_set)}" for path in npz_set.rglob("*.npz")}
    extra = {f"npz/{md5}/{name}" for name in ("manifest.csv", "COMPLETE")}
    indexes = {f"npz/{md5}/{folder}index.csv" for folder in ("", *(f"{split}/" for split in SPLITS))}
    assert keys(s3, bucket) == films | extra | indexes


def test_a_second_run_uploads_nothing(s3: Any, bucket: str, npz_set: Path) -> None:
    store = Store(f"s3://{bucket}/npz")
    channels = plan_channels(npz_set)
    assert publish_channels(channels, store) == len(channels.items) + 2
    assert publish_channels(channels, store) == 0


def test_an_interrupted_upload_is_completed_by_the_next(
    s3: Any, bucket: str, npz_set: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, channels, put = Store(f"s3://{bucket}/npz"), plan_channels(npz_set), Store.put
    turns = itertools.count()  # drawn by many threads: no two get the same

    def dying_put(self: Store, item: Any) -> None:
        if next(turns) >= 10:
            raise KeyboardInterrupt
        put(self, item)

    monkeypatch.setattr(Store, "put", dying_put)
    with pytest.raises(KeyboardInterrupt):
        publish_channels(channels, store)
    monkeypatch.undo()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.meta.endpoint_url)
    before = keys(s3, bucket)
    assert len(before) == 10
    assert not any(key.endswith(("COMPLETE", "manifest.csv")) for key in before)
    assert publish_channels(channels, store) == len(channels.items) - 10 + 2


@pytest.fixture
def fetched(s3: Any, bucket: str, npz_set: Path, tmp_path: Path, capsys: Any) -> tuple[Path, str]:
    """A copy of the set that was published and downloaded, and its address."""
    main(["publish", str(npz_set), f"s3://{bucket}/npz/"])
    address = capsys.readouterr().out.strip()
    main(["publish", str(tmp_path / "copy"), address, "--fetch"])
    return tmp_path / "copy", address


def test_a_published_set_is_downloaded_unchanged(npz_set: Path, fetched: tuple[Path, str]) -> None:
    copy, _ = fetched
    assert plan_channels(copy).data_md5 == plan_channels(npz_set).data_md5


def test_a_film_that_changed_without_changing_its_size_is_fetched_again(
    npz_set: Path, fetched: tuple[Path, str]
) -> None:
    copy, address = fetched
    film = copy / "train" / "train001.npz"
    film.write_bytes(bytes(film.stat().st_size))
    main(["publish", str(copy), address, "--fetch"])
    assert plan_channels(copy).data_md5 == plan_channels(npz_set).data_md5


def test_an_object_that_differs_from_the_manifest_is_an_error(
    s3: Any, bucket: str, npz_set: Path, tmp_path: Path
) -> None:
    store, channels = Store(f"s3://{bucket}/npz"), plan_channels(npz_set)
    publish_channels(channels, store)
    s3.put_object(Bucket=bucket, Key=f"npz/{channels.data_md5}/train/train001.npz", Body=b"another")
    with pytest.raises(CxrError, match=r"train001\.npz: its content is not what the manifest says"):
        fetch_channels(Store(store.below(channels.data_md5)), tmp_path / "copy")
    assert not (tmp_path / "copy/train/train001.npz").exists()


@pytest.mark.parametrize("name", ["index.csv", "manifest.csv"])
def test_a_changed_index_or_manifest_is_an_error(
    s3: Any, bucket: str, npz_set: Path, tmp_path: Path, name: str
) -> None:
    store, channels = Store(f"s3://{bucket}/npz"), plan_channels(npz_set)
    publish_channels(channels, store)
    content = store.read(f"{channels.data_md5}/{name}")
    s3.put_object(Bucket=bucket, Key=f"npz/{channels.data_md5}/{name}", Body=content.replace(b"train001", b"train000"))
    with pytest.raises(CxrError, match=rf"{name}: its content is not what .* says; publish the set again"):
        fetch_channels(Store(store.below(channels.data_md5)), tmp_path / "copy")
    assert not (tmp_path / "copy" / "index.csv").exists()


def test_files_without_a_split_in_their_name_are_laid_out_by_split(npz_set: Path) -> None:
    index = npz_set / "index.csv"
    for path in list(npz_set.rglob("*.npz")):
        path.rename(npz_set / path.name)
    index.write_text(re.sub(rf"^({'|'.join(SPLITS)})/", "", index.read_text(), flags=re.MULTILINE))
    layout = {item.key.split("/", 1)[1] for item in plan_channels(npz_set).items}
    assert {"train/train000.npz", "val/val000.npz", "test/index.csv"} <= layout


def test_the_error_names_a_film_missing_from_the_folder(npz_set: Path) -> None:
    (npz_set / "val" / "val003.npz").unlink()
    with pytest.raises(CxrError, match=r"val003\.npz: named in .*index\.csv but missing; run `dvc repro preprocess`"):
        plan_channels(npz_set)


def test_the_server_rejects_bytes_changed_in_transit(s3: Any, bucket: str, npz_set: Path) -> None:
    channels = plan_channels(npz_set)
    (npz_set / "train" / "train001.npz").write_bytes(b"changed")
    with pytest.raises(CxrError, match=r"train001\.npz.*(BadDigest|InvalidDigest)"):
        publish_channels(channels, Store(f"s3://{bucket}/npz"))


@pytest.mark.parametrize(
    ("environment", "url", "told"),
    [
        ({}, "s3://there-is-no-such-bucket/npz/", "no such bucket"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "s3://{bucket}/npz/", "credentials are invalid"),
        ({"AWS_ACCESS_KEY_ID": "wrong"}, "s3://{bucket}/npz/", "credentials are invalid"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "s3://{bucket}/npz/", "no AWS credentials found"),
        ({"AWS_PROFILE": "mistyped"}, "s3://{bucket}/npz/", "mistyped.*AWS_PROFILE"),
        ({"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}, "s3://{bucket}/npz/", "no answer from the server"),
        ({}, "https://bucket/npz", "expected mlflow:NAME, hf://owner/name or s3:"),
    ],
)
def test_each_fault_is_one_line(
    s3: Any, bucket: str, npz_set: Path, monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str], url: str, told: str,
) -> None:  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    with pytest.raises(CxrError, match=told) as caught:
        main(["publish", str(npz_set), url.format(bucket=bucket)])
    assert "\n" not in str(caught.value)


def test_a_server_that_dies_during_the_upload_loses_nothing(
    seaweed: SeaweedFS, s3: Any, bucket: str, npz_set: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cable, channels, put = Cable(seaweed.url), plan_channels(npz_set), Store.put
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", cable.url)
    before = 11
    turns, arrivals, cut = itertools.count(), itertools.count(1), threading.Event()

    def put_until_the_cable_is_cut(self: Store, item: Any) -> None:
        if next(turns) >= before:  # the others wait for the cut, so that none slips through before
            cut.wait(60)
        put(self, item)
        if next(arrivals) == before:  # all earlier ones have returned: none is cut in flight
            cable.cut()
            cut.set()

    monkeypatch.setattr(Store, "put", put_until_the_cable_is_cut)
    with pytest.raises(CxrError, match="no answer from the server"):
        publish_channels(channels, Store(f"s3://{bucket}/npz"))
    monkeypatch.setattr(Store, "put", put)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", seaweed.url)
    assert len(keys(s3, bucket)) == before
    store = Store(f"s3://{bucket}/npz")
    assert publish_channels(channels, store) == len(channels.items) - before + 2
    assert publish_channels(channels, store) == 0


def test_an_interrupted_download_resumes_where_it_stopped(
    seaweed: SeaweedFS, s3: Any, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, limit = bytes(range(256)) * 4000, 300_000
    s3.put_object(Bucket=bucket, Key="model.tar.gz", Body=content)
    cable = Cable(seaweed.url, limit)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", cable.url)
    Store(f"s3://{bucket}").fetch("model.tar.gz", tmp_path / "model.tar.gz")
    assert cable.limit is None, "nothing broke off"
    assert (tmp_path / "model.tar.gz").read_bytes() == content
    assert cable.answered < limit + len(content), "it began again"


def test_addresses() -> None:
    assert parse_url("s3://films") == ("films", "")
    assert parse_url("s3://films/npz/v1/") == ("films", "npz/v1/")
