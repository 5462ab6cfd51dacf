"""Transfer of files to and from S3, in parallel, with checksums and retries."""

import base64
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from botocore.config import Config
from botocore.exceptions import HTTPClientError, IncompleteReadError

from cxr.aws.session import MissingObject, aws_errors, aws_session
from cxr.core.errors import CxrError
from cxr.core.files import atomic_path
from cxr.runtime.console import progress

ATTEMPTS = 4
BLOCK = 1 << 16  # bytes that are written at a time; a body that breaks off resumes after the last block
THREADS = 16  # requests in flight; more are no faster, because Python's own work limits the rate
T = TypeVar("T")


@dataclass(frozen=True)
class Item:
    """One object to be: its key below a prefix, its content (a file or bytes), its size and MD5 (hexadecimal)."""

    key: str
    content: Path | bytes
    size: int
    md5: str

    def open(self) -> BinaryIO:
        """The content as a stream: a shard is too large to be held by each thread."""
        return io.BytesIO(self.content) if isinstance(self.content, bytes) else self.content.open("rb")


def file_md5(path: Path) -> str:
    """MD5 of a file's content, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()


def dvc_hash(md5s: Mapping[str, str]) -> str:
    """DVC's hash of a folder: MD5 over the JSON list of its files' hashes, in the order of their paths."""
    listing = [{"md5": md5s[name], "relpath": name} for name in sorted(md5s)]
    return hashlib.md5(json.dumps(listing, sort_keys=True).encode()).hexdigest()


class Store:
    """A prefix of a bucket. The client finds credentials, region and endpoint as every AWS tool does."""

    def __init__(self, url: str, session: Any = None, kms_key: str | None = None) -> None:
        self.bucket, self.prefix = parse_url(url)
        self.url = f"s3://{self.bucket}/{self.prefix}"
        self._encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}
        with aws_errors(self.url):
            self._client = (session or aws_session()).client(
                "s3",
                config=Config(
                    connect_timeout=5,
                    read_timeout=60,
                    retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
                    max_pool_connections=THREADS,
                    # Content-MD5 already guards each upload; a second checksum would cost a second pass.
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                ),
            )

    def below(self, key: str) -> str:
        """The full URL of a key."""
        return f"{self.url}{key}"

    def check(self, region: str | None = None) -> None:
        """Ask for the bucket once; a wrong key, a missing bucket or a dead server is told here, in one line.

        With `region`, a bucket elsewhere is refused: SageMaker reads and writes in its own region only.
        """
        with aws_errors(f"s3://{self.bucket}"):
            # A HEAD request would be the obvious one, but its answer has no body that says why it is refused.
            self._client.list_objects_v2(Bucket=self.bucket, Prefix=self.prefix, MaxKeys=1)
            there = self._client.head_bucket(Bucket=self.bucket).get("BucketRegion") if region else None
        if there and there != region:
            raise CxrError(
                f"s3://{self.bucket}: lies in {there}, the job would run in {region}, and SageMaker does not cross "
                "regions; set sagemaker.region, or take another bucket"
            )

    def exists(self, key: str) -> bool:
        """Whether an object is there."""
        try:
            with aws_errors(self.below(key)):
                self._client.head_object(Bucket=self.bucket, Key=self.prefix + key)
        except MissingObject:
            return False
        return True

    def sizes(self, below: str = "") -> dict[str, int]:
        """Key -> bytes of every object whose key begins with `below`."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix + below)
        with aws_errors(self.below(below)):
            found = (entry for page in pages for entry in page.get("Contents", []))
            return {entry["Key"].removeprefix(self.prefix): int(entry["Size"]) for entry in found}

    def put(self, item: Item) -> None:
        """Upload one object. The server refuses bytes that do not match the MD5, so a file changed on the way fails."""
        checksum = base64.b64encode(bytes.fromhex(item.md5)).decode()
        with aws_errors(self.below(item.key)), item.open() as stream:
            self._client.put_object(
                Bucket=self.bucket,
                Key=self.prefix + item.key,
                Body=stream,
                ContentMD5=checksum,
                **self._encryption,
            )

    def put_all(self, items: Sequence[Item], description: str) -> int:
        """Upload in parallel what is missing or has another size; returns the number of objects sent."""
        present = self.sizes(_common(items)) if items else {}
        missing = [item for item in items if present.get(item.key) != item.size]
        _in_parallel(self.put, missing, description)
        return len(missing)

    def read(self, key: str) -> bytes:
        """The content of one small object."""
        with aws_errors(self.below(key)):
            return bytes(self._client.get_object(Bucket=self.bucket, Key=self.prefix + key)["Body"].read())

    def fetch(self, key: str, path: Path) -> None:
        """Download one object; the file appears whole or not at all. A body that breaks off resumes where it broke."""
        with aws_errors(self.below(key)), atomic_path(path, durable=False) as temporary, temporary.open("wb") as stream:
            rest: dict[str, str] = {}
            for attempt in range(ATTEMPTS):
                answer = self._client.get_object(Bucket=self.bucket, Key=self.prefix + key, **rest)
                try:
                    for block in answer["Body"].iter_chunks(BLOCK):
                        stream.write(block)
                    return
                except (IncompleteReadError, HTTPClientError):
                    if attempt + 1 == ATTEMPTS:
                        raise
                    rest = {"Range": f"bytes={stream.tell()}-", "IfMatch": answer["ETag"]}

    def fetch_all(self, wanted: Mapping[str, tuple[Path, str]], description: str) -> int:
        """Download in parallel each key whose file is missing or has another MD5; returns the number fetched.

        Raises:
            CxrError: what came has another MD5 than was promised.
        """
        fetched: list[str] = []

        def fetch(job: tuple[str, tuple[Path, str]]) -> None:
            key, (path, md5) = job
            if path.is_file() and file_md5(path) == md5:
                return
            self.fetch(key, path)
            fetched.append(key)
            if file_md5(path) != md5:
                raise CxrError(f"{self.below(key)}: its content is not what the manifest says; publish the set again")

        _in_parallel(fetch, list(wanted.items()), description)
        return len(fetched)


def parse_url(url: str) -> tuple[str, str]:
    """`s3://bucket/some/prefix` -> (`bucket`, `some/prefix/`); raises CxrError for anything else."""
    scheme, _, rest = url.partition("://")
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise CxrError(f"{url}: not an S3 address; write s3://bucket/prefix/")
    return bucket, f"{prefix.strip('/')}/" if prefix.strip("/") else ""


def _in_parallel(work: Callable[[T], None], jobs: Sequence[T], description: str) -> None:
    if not jobs:
        return
    with ThreadPoolExecutor(THREADS) as pool:
        try:
            for _ in progress(pool.map(work, jobs), len(jobs), description, unit="file"):
                pass
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # the first fault ends it: the rest would fail alike
            raise


def _common(items: Iterable[Item]) -> str:
    """The folder that all keys share, so that only it is listed."""
    folders = {item.key.split("/", 1)[0] for item in items if "/" in item.key}
    return f"{folders.pop()}/" if len(folders) == 1 and all("/" in item.key for item in items) else ""
