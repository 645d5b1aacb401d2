"""A server that speaks the calls of GitHub's REST API that we make, with its own memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.github.hosted import READ, WRITE
from tests.serving import running


@dataclass
class Memory:
    """What the server knows, and what it was sent."""

    url: str = ""
    issues: dict[int, dict[str, Any]] = field(default_factory=dict)
    writers: dict[str, str] = field(default_factory=lambda: {"ada": "admin", "grace": "write"})
    comments: list[dict[str, Any]] = field(default_factory=list)
    pulls: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    broken: int = 0
    said: str = "no"
    refuses_drafts: bool = False

    @property
    def api(self) -> str:
        """Where the API is."""
        return f"{self.url}/api/v3"


@contextmanager
def serving(memory: Memory) -> Iterator[Memory]:
    """Serve until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Nothing is logged."""

        def do_GET(self) -> None:
            self.answer("GET", None)

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            self.answer("POST", json.loads(self.rfile.read(length)))

        def answer(self, method: str, sent: Any) -> None:
            status, found = _answer(memory, method, self.path, sent, self.headers)
            data = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    with running(Handler) as memory.url:
        yield memory


def _answer(memory: Memory, method: str, target: str, sent: Any, headers: Any) -> tuple[int, Any]:
    place = urlsplit(target)
    path = unquote(place.path)
    memory.asked.append(f"{method} {path}")
    if memory.broken:
        return memory.broken, {"message": memory.said}
    token = (headers.get("Authorization") or "").partition(" ")[2]
    if token not in ("", READ, WRITE):
        return 401, {"message": "Bad credentials"}
    if method == "POST" and token != WRITE:
        return 403, {"message": "Resource not accessible by integration"}
    found = re.fullmatch(r"/api/v3/repos/octo/shop/(.*)", path)
    rest = found[1] if found else ""
    if known := re.fullmatch(r"issues/(\d+)", rest):
        issue = memory.issues.get(int(known[1]))
        url = f"{memory.api}/repos/octo/shop/issues/{known[1]}"
        return (200, {**issue, "url": url}) if issue else (404, {"message": "Not Found"})
    if known := re.fullmatch(r"issues/(\d+)/comments", rest):
        page = f"https://github.test/octo/shop/issues/{known[1]}#c{len(memory.comments)}"
        memory.comments.append({"issue": int(known[1]), **sent})
        return 201, {"html_url": page, "body": sent["body"]}
    if known := re.fullmatch(r"collaborators/([^/]+)/permission", rest):
        return 200, {"permission": memory.writers.get(known[1], "read"), "user": {}}
    if rest == "pulls" and method == "GET":
        asked = {name: values[0] for name, values in parse_qs(place.query).items()}
        wanted = (asked["head"], asked["state"])
        return 200, [p for p in memory.pulls if (f"octo:{p['head_ref']}", p["state"]) == wanted]
    if rest == "pulls" and memory.refuses_drafts:
        return 422, {"message": "Draft pull requests are not supported in this repository."}
    if rest == "pulls":
        number = 100 + len(memory.pulls)
        page = f"https://github.test/octo/shop/pull/{number}"
        pull = {
            **sent,
            "state": "open",
            "head_ref": sent["head"],
            "number": number,
            "html_url": page,
        }
        memory.pulls.append({**pull, "head": {}, "base": {}})
        return 201, {"number": number, "html_url": page}
    return 404, {"message": "Not Found"}
