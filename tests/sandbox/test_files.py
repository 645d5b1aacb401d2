"""Reading, writing and removing files: byte-exact, and never outside the workspace."""

from __future__ import annotations

import os

import pytest

from tests.sandbox.conftest import FILES, Opener
from tools.sandbox.base import File, Limits, PathError, Sandbox


def test_files_arrive_as_they_are(sandbox: Sandbox) -> None:
    for file in FILES:
        if file.mode != "120000":
            assert sandbox.read(file.path) == file.data
    assert sandbox.run(["readlink", "link"]).stdout == b"a.py\n"
    assert sandbox.read("link") == sandbox.read("a.py")
    assert sandbox.run(["stat", "-c", "%a", "src/run.sh", "a.py"]).stdout == b"755\n644\n"
    assert sandbox.run(["src/run.sh"]).stdout == b"ran\n"


def test_listing(sandbox: Sandbox) -> None:
    sandbox.write("new/x.txt", b"12345")
    sandbox.write("build/out.o", b"ignored")
    sandbox.write("some.log", b"ignored")
    expected = [(f.path, len(f.data)) for f in FILES if f.mode != "120000"]
    assert sandbox.files() == sorted([*expected, ("new/x.txt", 5)], key=lambda row: row[0].encode())


def test_write_read_remove(sandbox: Sandbox) -> None:
    data = os.urandom(10 * 1024 * 1024)
    sandbox.write("deep/er/file.bin", data)
    assert sandbox.read("deep/er/file.bin") == data
    sandbox.write("deep/er/file.bin", b"")
    assert sandbox.read("./deep//er/file.bin") == b""
    sandbox.remove("deep/er/file.bin")
    for gone in ("deep/er/file.bin", "deep/er", "nothing"):
        with pytest.raises(PathError):
            sandbox.read(gone)
    with pytest.raises(PathError):
        sandbox.remove("deep/er/file.bin")


def test_commands_may_change_written_files(sandbox: Sandbox) -> None:
    sandbox.write("mine.txt", b"1")
    assert sandbox.run(["sh", "-c", "echo 2 >> mine.txt && chmod 600 mine.txt"]).exit_code == 0
    assert sandbox.read("mine.txt") == b"12\n"
    sandbox.run(["sh", "-c", "mkdir -m 700 own; umask 077; echo 3 > own/x"])
    assert sandbox.read("own/x") == b"3\n"


def test_writing_keeps_the_mode(sandbox: Sandbox) -> None:
    sandbox.write("src/run.sh", b"#!/bin/sh\necho other\n")
    assert sandbox.run(["src/run.sh"]).stdout == b"other\n"


def test_thousands_of_files(opener: Opener) -> None:
    files = [File(f"d{i % 50}/f{i}.txt", b"%d\n" % i) for i in range(3000)]
    sandbox = opener(files=files, limits=Limits())
    assert len(sandbox.files()) == 3000
    sandbox.write("d7/f7.txt", b"changed\n")
    assert sandbox.diff().count("diff --git") == 1


def test_an_empty_repository(opener: Opener) -> None:
    sandbox = opener(files=[])
    assert sandbox.files() == []
    assert sandbox.diff() == ""
    sandbox.write("x", b"1\n")
    assert "new file" in sandbox.diff()
