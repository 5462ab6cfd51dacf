"""What goes to a store: a key, a content and its MD5, which the server checks; and DVC's hash of many."""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO


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
