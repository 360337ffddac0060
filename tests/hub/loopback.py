"""A Hub on loopback for the real client, of the standard library alone, and all that can go wrong.

It speaks what huggingface_hub uses to make a repository, commit small and large files, tag, list
and download. ``faults`` come first: each may answer a request in the Hub's place.
"""

import base64
import contextlib
import hashlib
import json
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

MAIN = "main"
Files = dict[str, bytes]


def git_name(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def is_large(name: str) -> bool:
    """What the Hub keeps in LFS: by its name, as its .gitattributes say."""
    return name.endswith((".safetensors", ".png"))


@dataclass
class Repo:
    name: str
    private: bool = False
    gated: bool = False
    commits: dict[str, Files] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    head: str = ""

    def __post_init__(self) -> None:
        self.commit({})

    def commit(self, files: Files) -> str:
        made = "".join(f"{name} {git_name(content)}" for name, content in sorted(files.items()))
        self.head = hashlib.sha1(f"{self.name} {self.head} {made}".encode()).hexdigest()
        self.commits[self.head] = files
        return self.head

    def at(self, revision: str) -> str | None:
        if revision in self.commits:
            return revision
        return self.head if revision == MAIN else self.tags.get(revision)

    def described(self, commit: str) -> dict[str, Any]:
        """What the Hub says of a revision, the tags from the README's front matter among it."""
        files = self.commits[commit]
        front = re.match(r"---\n(.*?)\n---\n", files.get("README.md", b"").decode(), re.DOTALL)
        card = yaml.safe_load(front[1]) if front else {}
        tags = [*card.get("tags", []), *(card[k] for k in ("pipeline_tag",) if k in card)]
        tags += [f"license:{card.get('license')}"] * ("license" in card)
        return {
            "_id": self.name, "id": self.name, "modelId": self.name, "sha": commit, "tags": tags,
            "private": self.private, "gated": "manual" if self.gated else False,
            "downloads": 3, "likes": 1, "lastModified": "2026-11-01T10:00:00.000Z",
            "siblings": [self._sibling(name, files[name]) for name in sorted(files)],
        }  # fmt: skip

    @staticmethod
    def _sibling(name: str, content: bytes) -> dict[str, Any]:
        told = {"rfilename": name, "size": len(content), "blobId": git_name(content)}
        if is_large(name):
            told["lfs"] = {"sha256": sha256(content), "size": len(content), "pointerSize": 134}
        return told


Fault = Callable[["Request"], bool]


class Loopback:
    """``with Loopback() as hub``: ``hub.url``, ``hub.repos``, ``hub.asked``, ``hub.faults``."""

    def __init__(self, page: int = 100):
        self.page = page
        self.repos: dict[str, Repo] = {}
        self.renamed: dict[str, str] = {}
        self.large: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.asked: list[str] = []
        self.tokens: set[str] = set()
        self.token: str | None = None
        self.lock = threading.RLock()
        self.sockets: list[socket.socket] = []

    def __enter__(self) -> "Loopback":
        handler = type("Bound", (Request,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.die()

    def die(self) -> None:
        """Answer nothing any more; connections that a client keeps alive end, too."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
        for kept in self.sockets:
            with contextlib.suppress(OSError):
                kept.shutdown(socket.SHUT_RDWR)

    def add(self, name: str, files: Files, **kind: Any) -> str:
        """A repository with one commit of ``files``; its commit."""
        self.repos[name] = repo = Repo(name, **kind)
        return repo.commit(files)

    def on(self, pattern: str, act: Callable[["Request"], None], times: int = 1_000_000) -> None:
        """``act`` in place of the next ``times`` requests whose "METHOD path" has ``pattern``."""
        left = [times]

        def fault(request: "Request") -> bool:
            if left[0] and re.search(pattern, f"{request.command} {unquote(request.path)}"):
                left[0] -= 1
                act(request)
                return True
            return False

        self.faults.append(fault)


def status(code: int, **headers: str) -> Callable[["Request"], None]:
    """A fault: this status, with these headers (X_Error_Code for X-Error-Code)."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return lambda request: request.answer(code, {"error": "injected"}, named)


def silence(seconds: float) -> Callable[["Request"], None]:
    """A fault: nothing comes for so long, and then the end."""

    def act(request: "Request") -> None:
        threading.Event().wait(seconds)  # time.sleep may be a test's own
        request.hang_up()

    return act


class Request(BaseHTTPRequestHandler):
    """One connection. HTTP/1.1 keeps it alive: every answer has its length."""

    protocol_version = "HTTP/1.1"
    hub: Loopback

    def setup(self) -> None:
        super().setup()
        self.hub.sockets.append(self.connection)

    def log_message(self, *_: Any) -> None:
        pass

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the client went away
            super().handle()

    def answer(self, code: int, body: Any = b"", headers: dict[str, str] | None = None) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        for key, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def refuse(self, code: int, kind: str) -> None:
        self.answer(code, {"error": kind}, {"X-Error-Code": kind, "X-Error-Message": kind})

    def hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def read(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def serve(self) -> None:
        where, self.body = urlsplit(self.path), self.read()
        self.query = parse_qs(where.query)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        with self.hub.lock:
            self.hub.asked.append(f"{self.command} {unquote(where.path)}")
            self.hub.tokens |= {token} - {""}
        if any(fault(self) for fault in self.hub.faults):
            return
        writes = self.command in ("POST", "DELETE")  # what is PUT goes to a signed address
        if self.hub.token and writes and token != self.hub.token:
            self.answer(401, {"error": "Invalid username or password."})
            return
        for method, pattern, act in ROUTES:
            if self.command in method and (found := re.fullmatch(pattern, where.path)):
                with self.hub.lock:
                    act(self, *map(unquote, found.groups()))
                return
        self.answer(404, {"error": f"no such place: {where.path}"})

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = serve  # noqa: N815

    def repo(self, name: str, revision: str = MAIN) -> tuple[Repo, str] | None:
        """The repository and the commit, or an answer of none."""
        if new := self.hub.renamed.get(name):
            self.answer(307, b"", {"Location": self.path.replace(name, new)})
            return None
        repo = self.hub.repos.get(name)
        if repo is None or (repo.private and not self.headers.get("Authorization")):
            # Who has no token is not told which: missing or private.
            self.refuse(404 if self.headers.get("Authorization") else 401, "RepoNotFound")
        elif (commit := repo.at(revision)) is None:
            self.refuse(404, "RevisionNotFound")
        else:
            return repo, commit
        return None

    # ------------------------------------------------------------------------------- reading

    def root(self) -> None:
        self.answer(200, b"hello")

    def info(self, name: str, revision: str = MAIN) -> None:
        if found := self.repo(name, revision):
            repo, commit = found
            self.answer(200, repo.described(commit))

    def models(self) -> None:
        told = [r.described(r.head) for r in self.hub.repos.values() if not r.private]
        told = [t for t in told if {*self.query.get("filter", [])} <= {*t["tags"]}]
        start, size = int(self.query.get("cursor", ["0"])[0]), self.hub.page
        headers = {}
        if start + size < len(told):
            asked = "&".join(f"filter={f}" for f in self.query.get("filter", []))
            there = f"{self.hub.url}/api/models?{asked}&cursor={start + size}"
            headers["Link"] = f'<{there}>; rel="next"'
        self.answer(200, told[start : start + size], headers)

    def refs(self, name: str) -> None:
        if found := self.repo(name):
            tags = [
                {"name": t, "ref": f"refs/tags/{t}", "targetCommit": c}
                for t, c in found[0].tags.items()
            ]
            heads = [{"name": MAIN, "ref": f"refs/heads/{MAIN}", "targetCommit": found[0].head}]
            self.answer(200, {"branches": heads, "tags": tags, "converts": []})

    def file(self, name: str, revision: str, path: str) -> None:
        if not (found := self.repo(name, revision)):
            return
        repo, commit = found
        if repo.gated and not self.headers.get("Authorization"):
            self.refuse(401, "GatedRepo")
            return
        content = repo.commits[commit].get(path)
        if content is None:
            self.refuse(404, "EntryNotFound")
            return
        self.send_file(content, path, commit)

    def send_file(self, content: bytes, path: str, commit: str, sent: bytes | None = None) -> None:
        """A file as the Hub sends it; ``sent`` is what goes over the line in its place."""
        name = sha256(content) if is_large(path) else git_name(content)
        headers = {"ETag": f'"{name}"', "X-Repo-Commit": commit}
        headers["X-Linked-Size"] = str(len(content))
        body = content if sent is None else sent
        if begins := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            start = int(begins[1])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.answer(206, body[start:], headers)
        else:
            self.answer(200, body, headers)

    # ------------------------------------------------------------------------------- writing

    def create(self) -> None:
        asked = json.loads(self.body)
        name = f"{asked['organization']}/{asked['name']}"
        told = {"url": f"{self.hub.url}/{name}", "name": name, "id": name}
        if name in self.hub.repos:
            self.answer(409, {"error": "You already created this model repo", **told})
            return
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.hub.repos[name] = Repo(name, private)
        self.answer(200, told)

    def check_yaml(self) -> None:
        text = json.loads(self.body)["content"]
        front = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
        card = yaml.safe_load(front[1]) if front else {}
        wrong = [{"message": '"license" is required'}] * ("license" not in card)
        self.answer(400 if wrong else 200, {"errors": wrong, "warnings": []})

    def plan(self, name: str, revision: str) -> None:
        if not (found := self.repo(name, revision)):
            return
        repo, commit = found
        rows = []
        for asked in json.loads(self.body)["files"]:
            path = asked["path"]
            mode = "lfs" if is_large(path) else "regular"
            row = {"path": path, "uploadMode": mode, "shouldIgnore": False}
            if (old := repo.commits[commit].get(path)) is not None:
                row["oid"] = sha256(old) if is_large(path) else git_name(old)
            rows.append(row)
        self.answer(200, {"files": rows})

    def batch(self, name: str) -> None:
        rows = []
        for wanted in json.loads(self.body)["objects"]:
            href = f"{self.hub.url}/large/{wanted['oid']}"
            acts = {"upload": {"href": href}, "verify": {"href": f"{self.hub.url}/verify"}}
            new = {} if wanted["oid"] in self.hub.large else {"actions": acts}
            rows.append({"oid": wanted["oid"], "size": wanted["size"], **new})
        self.answer(200, {"transfer": "basic", "objects": rows})

    def put(self, name: str) -> None:
        right = sha256(self.body) == name
        if right:
            self.hub.large[name] = self.body
        self.answer(200 if right else 400)

    def verify(self) -> None:
        asked = json.loads(self.body)
        there = len(self.hub.large.get(asked["oid"], b"")) == asked["size"]
        self.answer(200 if there else 404)

    def commit(self, name: str, revision: str) -> None:
        if not (found := self.repo(name, revision)):
            return
        repo, commit = found
        files = dict(repo.commits[commit])
        for line in self.body.splitlines():
            step = json.loads(line)
            key, value = step["key"], step["value"]
            if key == "header" and value.get("parentCommit", commit) != commit:
                self.answer(412, {"error": "A commit has happened since."})
                return
            if key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
            elif key == "deletedFile":
                del files[value["path"]]
        made = repo.commit(files)
        self.answer(
            200,
            {
                "success": True,
                "commitOid": made,
                "commitUrl": f"{self.hub.url}/{name}/commit/{made}",
            },
        )

    def tag(self, name: str, revision: str) -> None:
        if found := self.repo(name, revision):
            repo, commit = found
            named = json.loads(self.body)["tag"]
            if named in repo.tags:
                self.answer(409, {"error": "Tag exists"})
                return
            repo.tags[named] = commit
            self.answer(200, {})


_NAME = r"([\w.-]+/[\w.-]+)"
ROUTES = [
    (("GET", "HEAD"), "/", Request.root),
    (("GET",), "/api/models", Request.models),
    (("GET",), f"/api/models/{_NAME}", Request.info),
    (("GET",), f"/api/models/{_NAME}/revision/([^/]+)", Request.info),
    (("GET",), f"/api/models/{_NAME}/refs", Request.refs),
    (("GET", "HEAD"), f"/{_NAME}/resolve/([^/]+)/(.+)", Request.file),
    (("POST",), "/api/repos/create", Request.create),
    (("POST",), "/api/validate-yaml", Request.check_yaml),
    (("POST",), f"/api/models/{_NAME}/preupload/([^/]+)", Request.plan),
    (("POST",), rf"/{_NAME}\.git/info/lfs/objects/batch", Request.batch),
    (("PUT",), "/large/([0-9a-f]{64})", Request.put),
    (("POST",), "/verify", Request.verify),
    (("POST",), f"/api/models/{_NAME}/commit/([^/]+)", Request.commit),
    (("POST",), f"/api/models/{_NAME}/tag/([^/]+)", Request.tag),
]  # fmt: skip
