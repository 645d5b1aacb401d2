from __future__ import annotations

import pytest

from tools.testing.detect import NoTestsError, TestCommand, detect, from_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pytest", TestCommand((), "pytest")),
        ("pytest -x 'a b' -k \"c d\"", TestCommand(("-x", "a b", "-k", "c d"), "pytest")),
        ("python3.11 -m pytest tests", TestCommand(("tests",), "pytest")),
        ("/opt/v/bin/py.test -q", TestCommand(("-q",), "pytest")),
        ("uv run pytest -q", TestCommand(("-q",), "pytest")),
        ("env A=1 B='x y' pytest", TestCommand((), "pytest", (("A", "1"), ("B", "x y")))),
        ("python -m unittest", TestCommand(("python", "-m", "unittest"), "command")),
        ("pytest; true", TestCommand(("sh", "-c", "pytest; true"), "command")),
        ("cd a && pytest", TestCommand(("sh", "-c", "cd a && pytest"), "command")),
        ("pytest $ARGS", TestCommand(("sh", "-c", "pytest $ARGS"), "command")),
        ("pytest -k 'a|b'", TestCommand(("-k", "a|b"), "pytest")),
    ],
)
def test_configured(text: str, expected: TestCommand) -> None:
    assert from_text(text) == expected
    assert detect([], lambda _: b"", text) == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"tests/test_a.py": "", "package.json": "{}"}, "pytest"),
        ({"a_test.py": ""}, "pytest"),
        ({"pyproject.toml": "[tool.pytest.ini_options]\n"}, "pytest"),
        ({"setup.cfg": "[tool:pytest]\n"}, "pytest"),
        ({"package.json": '{"scripts": {"test": "jest"}}'}, "npm test --silent"),
        ({"package.json": "{", "a.test.js": ""}, "node --test"),
        ({"Cargo.toml": ""}, "cargo test"),
        ({"go.mod": ""}, "go test ./..."),
        ({"Makefile": "all:\n\ntest: all\n\techo\n"}, "make test"),
    ],
)
def test_detected(files: dict[str, str], expected: str) -> None:
    found = detect(files, lambda path: files[path].encode())
    assert (found.framework if not found.argv else " ".join(found.argv)) == expected


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"a.py": ""},
        {"Makefile": "test := 1\n"},
        {"pyproject.toml": "[broken"},
        {"package.json": '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}'},
    ],
)
def test_none(files: dict[str, str]) -> None:
    with pytest.raises(NoTestsError, match="--test-cmd"):
        detect(files, lambda path: files[path].encode())


def test_unreadable() -> None:
    with pytest.raises(NoTestsError, match="cannot be read"):
        from_text("pytest 'a")
