"""Objects of S3 before they are sent: key, content and checksums, DVC's hash of a folder, addresses."""

import base64
import hashlib
import io
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cxr.core.errors import CxrError


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


def md5_and_crc32(stream: BinaryIO) -> tuple[str, int]:
    """MD5 (hexadecimal) and CRC-32 of a stream, in one pass."""
    md5, crc32 = hashlib.md5(), 0
    while block := stream.read(1 << 20):
        md5.update(block)
        crc32 = zlib.crc32(block, crc32)
    return md5.hexdigest(), crc32


def as_base64(value: bytes) -> str:
    """A checksum as S3 takes it."""
    return base64.b64encode(value).decode()


def dvc_hash(md5s: Mapping[str, str]) -> str:
    """DVC's hash of a folder: MD5 over the JSON list of its files' hashes, in the order of their paths."""
    listing = [{"md5": md5s[name], "relpath": name} for name in sorted(md5s)]
    return hashlib.md5(json.dumps(listing, sort_keys=True).encode()).hexdigest()


def parse_url(url: str) -> tuple[str, str]:
    """`s3://bucket/some/prefix` -> (`bucket`, `some/prefix/`); raises CxrError for anything else."""
    scheme, _, rest = url.partition("://")
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise CxrError(f"{url}: not an S3 address; write s3://bucket/prefix/")
    return bucket, f"{prefix.strip('/')}/" if prefix.strip("/") else ""


def common_folder(items: Iterable[Item]) -> str:
    """The folder that all keys share, so that only it is listed."""
    folders = {item.key.split("/", 1)[0] for item in items if "/" in item.key}
    return f"{folders.pop()}/" if len(folders) == 1 and all("/" in item.key for item in items) else ""
