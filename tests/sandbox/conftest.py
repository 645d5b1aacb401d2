"""Sandboxes of every kind, opened on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tools.sandbox.base import MIB, File, Limits, Sandbox, Spec
from tools.sandbox.choose import Kind, open_sandbox
from tools.sandbox.docker import IMAGE

Opener = Callable[..., Sandbox]

LIMITS = Limits(
    wall_seconds=30,
    cpu_seconds=20,
    memory_bytes=256 * MIB,
    processes=48,
    file_bytes=32 * MIB,
    disk_bytes=64 * MIB,
    output_bytes=64 * 1024,
)

FILES = [
    File("a.py", b"print(1)\nprint(2)\nprint(3)\n"),
    File("crlf.txt", b"one\r\ntwo\r\nthree\r\n"),
    File("noeol.txt", b"no newline at the end"),
    File("latin.txt", b"caf\xe9 \xff\xfe\nplain\n"),
    File("data.bin", bytes(range(256)) * 4),
    File("src/run.sh", b"#!/bin/sh\necho ran\n", "100755"),
    File("link", b"a.py", "120000"),
    File(".gitignore", b"*.log\nbuild/\n"),
    File("kept.log", b"ignored, yet part of the repository\n"),
    File(".gitattributes", b"* text=auto eol=lf\n*.txt filter=evil diff=evil\n*.py binary\n"),
    File("Ünï cödé.txt", b"name\n"),
]


@pytest.fixture(params=[pytest.param("docker", marks=pytest.mark.docker), "bubblewrap"])
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture
def opener(kind: Kind) -> Iterator[Opener]:
    with ExitStack() as stack:

        def start(files: list[File] = FILES, limits: Limits = LIMITS, **more: object) -> Sandbox:
            image = IMAGE if kind == "docker" else None
            spec = Spec(image=image, limits=limits, **more)  # type: ignore[arg-type]
            return stack.enter_context(open_sandbox(kind, files, spec))

        yield start


@pytest.fixture
def sandbox(opener: Opener) -> Sandbox:
    return opener()
