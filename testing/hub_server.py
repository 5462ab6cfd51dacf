"""A local Hugging Face Hub: what huggingface_hub's client asks of model repositories, in memory."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_writer"
LARGE = (".onnx", ".safetensors", ".npz")  # stored as LFS objects


@dataclass
class Commit:
    """The files after a commit, and the paths that its request named."""

    files: dict[str, bytes]
    changed: list[str]

    @property
    def sha(self) -> str:
        """Forty hex digits that depend on the content."""
        parts = [f"{name} {hashlib.sha1(content).hexdigest()}" for name, content in sorted(self.files.items())]
        return hashlib.sha1("\n".join(parts).encode()).hexdigest()


@dataclass
class Repository:
    """A model repository with the linear history of its branch main."""

    private: bool
    commits: list[Commit] = field(default_factory=lambda: [Commit({".gitattributes": b"*.onnx filter=lfs"}, [])])

    def commit(self, revision: str) -> Commit | None:
        """The commit of a revision: main or a hash."""
        if revision == "main":
            return self.commits[-1]
        return next((one for one in self.commits if one.sha == revision), None)


@dataclass
class LocalHub:
    """The state of a hub; tests read and edit it."""

    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)  # LFS, by SHA-256
    requests: list[str] = field(default_factory=list)
    fault: int = 0  # status that the next commit gets instead


@contextmanager
def local_hub() -> Iterator[LocalHub]:
    """Run a hub on a free port; the client finds it by HF_ENDPOINT."""
    hub = LocalHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: LocalHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Repository, its files, one of them."""
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/(.+))?", path):
            name, kind, revision = match.groups()
            commit = self._commit(name, revision or "main")
            if commit:
                tree = [_entry(file, content) for file, content in sorted(commit.files.items())]
                files = [{"rfilename": entry["path"]} for entry in tree]
                facts = {"id": name, "sha": commit.sha, "private": self.hub.repositories[name].private}
                self._json(tree if kind == "tree" else {**facts, "siblings": files, "tags": [], "downloads": 0})
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            name, revision, file = match.groups()
            commit = self._commit(name, revision)
            if commit and file not in commit.files:
                self._json({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
            elif commit:
                content = commit.files[file]
                etag = _entry(file, content).get("lfs", {"oid": _blob(content)})["oid"]
                self._answer(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": commit.sha})
        else:
            self._json({"error": "no such page"}, 404)

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        """An LFS object."""
        self.hub.requests.append(f"PUT {self.path}")
        content = self._body()
        self.hub.objects[hashlib.sha256(content).hexdigest()] = content
        self._answer(200, b"")

    def do_POST(self) -> None:
        """Create a repository, or commit to it in three requests: modes, LFS objects, the commit."""
        path, body = unquote(urlsplit(self.path).path), self._body()
        self.hub.requests.append(f"POST {path}")
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._json({"error": "Invalid username or password."}, 401)
        elif path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            status = 409 if name in self.hub.repositories else 200
            self.hub.repositories.setdefault(name, Repository(asked.get("visibility") == "private"))
            self._json({"url": f"{self.hub.url}/{name}"}, status)
        elif path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/main", path):
            files = self.hub.repositories[match[1]].commits[-1].files
            self._json({"files": [_mode(one["path"], files) for one in json.loads(body)["files"]]})
        elif path.endswith(".git/info/lfs/objects/batch"):
            self._json({"transfer": "basic", "objects": [self._upload(one) for one in json.loads(body)["objects"]]})
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", path):
            self._take_commit(match[1], [json.loads(line) for line in body.splitlines()])

    def _take_commit(self, name: str, lines: list[dict[str, Any]]) -> None:
        repository = self.hub.repositories[name]
        if self.hub.fault:
            self._json({"error": "the hub is out of order"}, self.hub.fault)
            return
        files, changed = dict(repository.commits[-1].files), []
        for line in lines:
            key, value = line["key"], line["value"]
            if key == "header":
                assert value.get("parentCommit") in (None, repository.commits[-1].sha)
                continue
            changed.append(value["path"])
            if key == "deletedFile":
                del files[value["path"]]
            else:
                stored = self.hub.objects.get(value.get("oid", ""))
                files[value["path"]] = base64.b64decode(value["content"]) if stored is None else stored
        repository.commits.append(Commit(files, changed))
        sha = repository.commits[-1].sha
        self._json({"commitUrl": f"{self.hub.url}/{name}/commit/{sha}", "commitOid": sha})

    def _upload(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["oid"] in self.hub.objects:
            return asked
        return {**asked, "actions": {"upload": {"href": f"{self.hub.url}/objects/{asked['oid']}"}}}

    def _commit(self, name: str, revision: str) -> Commit | None:
        """The commit, or None after an answer with the client's error code."""
        repository = self.hub.repositories.get(name)
        if repository is None or (repository.private and self.headers.get("Authorization") != f"Bearer {TOKEN}"):
            self._json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
            return None
        commit = repository.commit(revision)
        if commit is None:
            self._json({"error": "Invalid rev id"}, 404, {"X-Error-Code": "RevisionNotFound"})
        return commit

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        described = {"Content-Type": "application/json", **(headers or {})}
        if isinstance(value, dict) and "error" in value:
            described["X-Error-Message"] = value["error"]
        self._answer(status, json.dumps(value).encode(), described)

    def _answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _entry(path: str, content: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": _blob(content)}
    if path.endswith(LARGE):
        entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return entry


def _mode(path: str, files: dict[str, bytes]) -> dict[str, Any]:
    entry = _entry(path, files.get(path, b""))
    oid = entry.get("lfs", entry)["oid"] if path in files else None
    return {"path": path, "uploadMode": "lfs" if "lfs" in entry else "regular", "shouldIgnore": False, "oid": oid}


def _blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
