"""Files that go to S3 in parts, on a real S3 server."""

import hashlib
import os
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest
from botocore.exceptions import ConnectionClosedError
from botocore.httpsession import URLLib3Session

from cxr.aws import s3 as store_module
from cxr.aws.objects import Item, as_base64
from cxr.aws.s3 import Store
from cxr.core.errors import CxrError

MIB = 1 << 20


@pytest.fixture
def film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Item:
    """A file of three parts, where eight megabytes are large."""
    monkeypatch.setattr(store_module, "LARGE", 8 * MIB)
    monkeypatch.setattr(store_module, "PART", 5 * MIB)
    path = tmp_path / "shard.npy"
    path.write_bytes(os.urandom(12 * MIB))
    return Item("shards/shard.npy", path, path.stat().st_size, hashlib.md5(path.read_bytes()).hexdigest())


def on_each_part(monkeypatch: pytest.MonkeyPatch, act: Callable[[str], None]) -> None:
    """Do something before a part is sent."""
    send = URLLib3Session.send

    def sending(self: Any, request: Any) -> Any:
        query = parse_qs(urlparse(request.url).query)
        if "partNumber" in query:
            act(query["partNumber"][0])
        return send(self, request)

    monkeypatch.setattr(URLLib3Session, "send", sending)


def unfinished(s3: Any, bucket: str) -> list[str]:
    return [upload["UploadId"] for upload in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])]


def test_a_large_file_goes_in_parts_with_one_checksum_and_comes_back_equal(
    s3: Any, bucket: str, film: Item, tmp_path: Path
) -> None:
    store = Store(f"s3://{bucket}")
    small = Item("shards/table.csv", b"a small one", 11, hashlib.md5(b"a small one").hexdigest())
    assert store.put_all([film, small], "upload") == 2
    assert s3.head_object(Bucket=bucket, Key=film.key)["ETag"].endswith('-3"')
    kept = s3.head_object(Bucket=bucket, Key=film.key, ChecksumMode="ENABLED")
    assert kept["ChecksumType"] == "FULL_OBJECT"
    content = film.open().read()
    assert kept["ChecksumCRC32"] == as_base64(zlib.crc32(content).to_bytes(4))
    assert s3.head_object(Bucket=bucket, Key=small.key)["ETag"] == f'"{small.md5}"'
    store.fetch(film.key, tmp_path / "copy", film.md5)
    assert (tmp_path / "copy").read_bytes() == content
    assert store.put_all([film, small], "upload") == 0


def test_bytes_of_a_part_that_change_on_the_way_are_refused_by_the_server(
    s3: Any, bucket: str, film: Item, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = film.content
    assert isinstance(path, Path)

    def change(_: str) -> None:
        with path.open("r+b") as stream:
            stream.seek(11 * MIB)
            stream.write(b"another")

    on_each_part(monkeypatch, change)
    with pytest.raises(CxrError, match=r"shard\.npy.*BadDigest"):
        Store(f"s3://{bucket}").put(film)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    assert unfinished(s3, bucket) == []


def test_a_file_that_changed_after_it_was_hashed_is_not_sent(s3: Any, bucket: str, film: Item) -> None:
    assert isinstance(film.content, Path)
    film.content.write_bytes(bytes(film.size))
    with pytest.raises(CxrError, match=r"shard\.npy: the file changed after it was hashed; run again"):
        Store(f"s3://{bucket}").put(film)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_a_cut_connection_repeats_one_part_and_not_the_file(
    s3: Any, bucket: str, film: Item, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: Counter[str] = Counter()

    def cut_the_second_once(part: str) -> None:
        sent[part] += 1
        if sent["2"] == 1 and part == "2":
            raise ConnectionClosedError(endpoint_url="s3")

    on_each_part(monkeypatch, cut_the_second_once)
    Store(f"s3://{bucket}").put(film)
    assert sent == {"1": 1, "2": 2, "3": 1}
    assert s3.get_object(Bucket=bucket, Key=film.key)["Body"].read() == film.open().read()


def test_what_a_killed_upload_left_is_aborted_and_what_may_still_be_sent_is_not(
    s3: Any, bucket: str, film: Item, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(key: str) -> str:
        left = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        s3.upload_part(Bucket=bucket, Key=key, UploadId=left, PartNumber=1, Body=b"a part")
        return str(left)

    of_this_film, of_another = leave(film.key), leave(f"{film.key}-another")
    Store(f"s3://{bucket}").put(film)
    assert sorted(unfinished(s3, bucket)) == sorted([of_this_film, of_another])
    monkeypatch.setattr(store_module, "LEFTOVER_AGE", timedelta(seconds=-60))
    Store(f"s3://{bucket}").put(film)
    assert unfinished(s3, bucket) == [of_another]


def test_an_interrupted_upload_leaves_no_parts(
    s3: Any, bucket: str, film: Item, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, put = threading.Event(), Store.put

    def begin(_: str) -> None:
        began.set()
        time.sleep(1)

    def interrupt(self: Store, item: Item) -> None:
        if item.key == "interrupt":
            assert began.wait(60)
            raise KeyboardInterrupt
        put(self, item)

    on_each_part(monkeypatch, begin)
    monkeypatch.setattr(Store, "put", interrupt)
    with pytest.raises(KeyboardInterrupt):
        # The interrupt comes first, as the order of the items is that in which their ends are waited for.
        Store(f"s3://{bucket}").put_all([Item("interrupt", b"", 0, ""), film], "upload")
    deadline = time.monotonic() + 30
    while unfinished(s3, bucket) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert unfinished(s3, bucket) == []
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
