"""Break one line in libraries from PyPI and let `agent solve` repair it with their own tests.

    python benchmarks/libraries.py [--json] [options of agent solve]

Source archives are fetched by the index's JSON interface (PEP 691), checked against the digests
below, unpacked and committed; nothing of them runs outside the sandbox.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import ssl
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
import venv
from dataclasses import dataclass
from pathlib import Path

INDEX = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/")
ACCEPT = {"Accept": "application/vnd.pypi.simple.v1+json"}


@dataclass(frozen=True)
class Break:
    """One broken line in one library, and how a user would report it."""

    name: str
    archive: str
    sha256: str
    path: str
    old: str
    new: str
    issue: str


BREAKS = (
    Break(
        "inflection",
        "inflection-0.5.1.tar.gz",
        "1a29730d366e996aaacffb2f1f1cb9593dc38e2ddd30c91250c6dde09ea9b417",
        "inflection/__init__.py",
        "    if number % 100 in (11, 12, 13):\n",
        "    if number % 100 in (11, 12):\n",
        "ordinal(13) returns 'rd', but the thirteenth ends in 'th'",
    ),
    Break(
        "semver",
        "semver-3.0.4.tar.gz",
        "afc7d8c584a5ed0a11033af086e8af226a9c0b206f313e0301f8dd7b6b589602",
        "src/semver/version.py",
        "        return cls(self._major, self._minor + 1)\n",
        "        return cls(self._major, self._minor)\n",
        "bump_minor() gives back the version it was given, without raising its minor part",
    ),
)


def download(broken: Break) -> bytes:
    """The source archive. Raises ValueError when its digest is another."""
    context = ssl.create_default_context()
    page = urllib.request.Request(f"{INDEX}/{broken.name}/", headers=ACCEPT)
    with urllib.request.urlopen(page, context=context) as reply:
        files = {file["filename"]: file["url"] for file in json.load(reply)["files"]}
    with urllib.request.urlopen(files[broken.archive], context=context) as reply:
        data: bytes = reply.read()
    if hashlib.sha256(data).hexdigest() != broken.sha256:
        raise ValueError(f"{broken.archive} has another digest than expected")
    return data


def repository(broken: Break, folder: Path) -> Path:
    """A git repository of the library with the line broken."""
    with tarfile.open(fileobj=io.BytesIO(download(broken))) as archive:
        archive.extractall(folder, filter="data")
    root = folder / broken.archive.removesuffix(".tar.gz")
    path = root / broken.path
    source = path.read_text(encoding="utf-8")
    if source.count(broken.old) != 1:
        raise ValueError(f"{broken.path}: the line to break is not there exactly once")
    path.write_text(source.replace(broken.old, broken.new), encoding="utf-8")
    git = ["git", "-c", "user.name=b", "-c", "user.email=b@localhost", "-C", str(root)]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "start"]):
        subprocess.run([*git, *command], check=True)
    return root


def main() -> int:
    """Break, solve, report; returns how many were not solved."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options, rest = parser.parse_known_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        env = Path(folder) / "env"
        venv.create(env, with_pip=True)
        subprocess.run([env / "bin/pip", "install", "-q", "pytest>=9", "pytest-cov"], check=True)
        for broken in BREAKS:
            root = repository(broken, Path(folder))
            agent = [str(Path(sys.executable).with_name("agent")), "solve", broken.issue]
            more = ["--repo", str(root), "--env", str(env), "--json", *rest]
            start = time.monotonic()
            done = subprocess.run([*agent, *more], stdout=subprocess.PIPE, text=True)
            report = json.loads(done.stdout)
            row = {"library": broken.archive.removesuffix(".tar.gz"), "status": report["status"]}
            row |= {"attempts": report["attempts"], "seconds": round(time.monotonic() - start, 1)}
            row |= {"tests": len(report["tests_before"]), "message": report["message"]}
            rows.append(row)
            if not options.json:
                print(*(f"{key}: {value}" for key, value in row.items()), sep=", ", flush=True)
                print(report["diff"], flush=True)
    if options.json:
        print(json.dumps(rows))
    return sum(row["status"] != "verified" for row in rows)


if __name__ == "__main__":
    sys.exit(main())
