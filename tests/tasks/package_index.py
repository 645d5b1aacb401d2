"""A package index on this machine: a real web server that serves what a test puts into it."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.serving import running


@dataclass
class Index:
    """Source archives of the package `shop` by file name; `promised` is the digest it claims.

    What else is asked for is to be had at the index `upstream`, if one is named.
    """

    archives: dict[str, bytes] = field(default_factory=dict)
    yanked: set[str] = field(default_factory=set)
    promised: str | None = None
    asked: list[str] = field(default_factory=list)
    url: str = ""
    upstream: str = ""

    def page(self) -> bytes:
        files = [
            {
                "filename": name,
                "url": f"../../files/{name}",
                "hashes": {"sha256": self.promised or hashlib.sha256(data).hexdigest()},
                "yanked": name in self.yanked,
            }
            for name, data in self.archives.items()
        ]
        return json.dumps({"files": files}).encode()


@contextmanager
def serving() -> Iterator[Index]:
    """An empty index, at `url` while the context lasts."""
    index = Index()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            index.asked.append(self.path)
            folder, _, name = self.path.rpartition("/")
            if self.path == "/simple/shop/":
                body = index.page()
            elif folder == "/files" and name in index.archives:
                body = index.archives[name]
            elif index.upstream:
                self.send_response(302)
                self.send_header("Location", index.upstream + self.path.removeprefix("/simple"))
                self.end_headers()
                return
            else:
                self.send_error(404)
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with running(Handler) as url:
        index.url = f"{url}/simple"
        yield index


def sdist(members: Mapping[str, bytes | None]) -> bytes:
    """A source archive of these members; None makes a link that leads out."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            if data is None:
                entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
            else:
                entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data or b""))
    return buffer.getvalue()
