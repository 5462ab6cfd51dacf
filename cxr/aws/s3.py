"""Transfer of files to and from S3, in parallel, with checksums and retries."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from boto3.s3.transfer import TransferConfig, create_transfer_manager
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError

from cxr.aws.objects import Item, as_base64, common_folder, file_md5, md5_and_crc32, parse_url
from cxr.aws.session import MissingObject, aws_errors, aws_session
from cxr.core.errors import CxrError
from cxr.core.files import atomic_path
from cxr.runtime.console import progress

ATTEMPTS = 4
BLOCK = 1 << 16  # bytes that are written at a time; a body that breaks off resumes after the last block
THREADS = 16  # requests in flight; more are no faster, because Python's own work limits the rate
LARGE = 64_000_000  # bytes; a larger file goes up in parts
PART = 16_000_000
LEFTOVER_AGE = timedelta(days=1)  # a younger unfinished upload may be somebody's who still sends
T = TypeVar("T")


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
                    # Each upload has a checksum of ours; a second one would cost a second pass.
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                ),
            )

        parts = TransferConfig(
            multipart_threshold=PART,
            multipart_chunksize=PART,
            max_concurrency=THREADS,
            preferred_transfer_client="classic",
        )
        self._transfers = create_transfer_manager(self._client, parts)
        self._under_way: set[Any] = set()  # uploads in parts

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
        return {key: int(entry["Size"]) for key, entry in self._entries(below)}

    def versions(self, below: str = "") -> dict[str, str]:
        """Key -> size and tag, which change with the content, of every object whose key begins with `below`."""
        return {key: f"{entry['Size']}-{entry['ETag']}" for key, entry in self._entries(below)}

    def _entries(self, below: str) -> Iterator[tuple[str, dict[str, Any]]]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix + below)
        with aws_errors(self.below(below)):
            for page in pages:
                for entry in page.get("Contents", []):
                    yield entry["Key"].removeprefix(self.prefix), entry

    def put(self, item: Item) -> None:
        """Upload one object, a large one in parts, of which a broken connection repeats one.

        The server refuses bytes that do not match the checksum, so a file that changes on the way is an error.
        """
        if item.size > LARGE:
            return self._put_parts(item)
        checksum = as_base64(bytes.fromhex(item.md5))
        with aws_errors(self.below(item.key)), item.open() as stream:
            self._client.put_object(
                Bucket=self.bucket,
                Key=self.prefix + item.key,
                Body=stream,
                ContentMD5=checksum,
                **self._encryption,
            )

    def _put_parts(self, item: Item) -> None:
        with item.open() as stream:
            md5, crc32 = md5_and_crc32(stream)
        if md5 != item.md5:
            raise CxrError(f"{self.below(item.key)}: the file changed after it was hashed; run again")
        # Of the checksums that cover a whole object in parts, CRC-32 is the one with a fast implementation at hand.
        checksum = {"ChecksumCRC32": as_base64(crc32.to_bytes(4))}
        source = io.BytesIO(item.content) if isinstance(item.content, bytes) else str(item.content)
        with aws_errors(self.below(item.key)):
            self._abort_leftovers(self.prefix + item.key)
            arguments = {**checksum, **self._encryption}
            upload = self._transfers.upload(source, self.bucket, self.prefix + item.key, arguments)
            self._under_way.add(upload)
            try:
                upload.result()
            finally:
                self._under_way.discard(upload)

    def _abort_leftovers(self, key: str) -> None:
        """Delete the parts that a killed upload of this object left behind: S3 bills them and shows them nowhere."""
        found = self._client.list_multipart_uploads(Bucket=self.bucket, Prefix=key).get("Uploads", [])
        for upload in found:
            if upload["Key"] == key and datetime.now(UTC) - upload["Initiated"] > LEFTOVER_AGE:
                self._client.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload["UploadId"])

    def put_all(self, items: Sequence[Item], description: str) -> int:
        """Upload in parallel what is missing or has another size; returns the number of objects sent."""
        present = self.sizes(common_folder(items)) if items else {}
        missing = [item for item in items if present.get(item.key) != item.size]
        self._in_parallel(self.put, missing, description)
        return len(missing)

    def read(self, key: str) -> bytes:
        """The content of one small object."""
        stream = io.BytesIO()
        with aws_errors(self.below(key)):
            self._download(key, stream)
        return stream.getvalue()

    def head(self, key: str, length: int) -> bytes:
        """At most the first `length` bytes of an object."""
        place = {"Bucket": self.bucket, "Key": self.prefix + key}
        with aws_errors(self.below(key)):
            try:
                body = self._client.get_object(**place, Range=f"bytes=0-{length - 1}")["Body"]
            except ClientError as error:
                if error.response["Error"]["Code"] == "InvalidRange":  # the object is empty
                    return b""
                raise
            return bytes(body.read())

    def fetch(self, key: str, path: Path, md5: str | None = None) -> None:
        """Download one object; the file appears whole or not at all.

        Raises:
            CxrError: the content has another MD5 than `md5`.
        """
        with aws_errors(self.below(key)), atomic_path(path, durable=False) as temporary:
            with temporary.open("wb") as stream:
                self._download(key, stream)
            if md5 is not None and file_md5(temporary) != md5:
                raise CxrError(f"{self.below(key)}: its content is not what the manifest says; publish the set again")

    def _download(self, key: str, stream: BinaryIO) -> None:
        """Write an object into `stream`. A body that breaks off resumes where it broke."""
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
        """Download in parallel each key whose file is missing or has another MD5; returns the number fetched."""
        fetched: list[str] = []

        def fetch(job: tuple[str, tuple[Path, str]]) -> None:
            key, (path, md5) = job
            if path.is_file() and file_md5(path) == md5:
                return
            self.fetch(key, path, md5)
            fetched.append(key)

        self._in_parallel(fetch, list(wanted.items()), description)
        return len(fetched)

    def _in_parallel(self, work: Callable[[T], None], jobs: Sequence[T], description: str) -> None:
        if not jobs:
            return
        with ThreadPoolExecutor(THREADS) as pool:
            try:
                for _ in progress(pool.map(work, jobs), len(jobs), description, unit="file"):
                    pass
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)  # the first fault ends it: the rest would fail alike
                for upload in list(self._under_way):
                    upload.cancel()  # which aborts it
                raise
