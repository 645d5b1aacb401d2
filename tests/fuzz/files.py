"""Files that others have written: tasks, predictions, manifests, settings, dependencies."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from agent.config import load_settings
from agent.evaluate.records import read_predictions
from agent.status import UsageError
from agent.tasks.instance import Instance, read_instances
from agent.tasks.recipe import read_manifest
from agent.ui.text import printable
from tests.fuzz.registry import JSON, TEXT, target
from tools.sandbox.base import SandboxError
from tools.sandbox.prepare import requirements
from tools.testing.detect import NoTestsError, detect, from_text

TASK = {
    "instance_id": "shop-1",
    "repo": "pypi:shop==1",
    "base_commit": "sha256:0",
    "problem_statement": "wrong",
    "patch": "diff --git a/a b/a\n",
    "test_patch": "",
    "FAIL_TO_PASS": ["t.py::a"],
    "PASS_TO_PASS": "[]",
}
PREDICTION = {"instance_id": "shop-1", "model_patch": "x"}
DEEP = st.sampled_from(["[" * 12_000, "9" * 5000, '{"a":' * 8_000, "\ufeff{}", "\x00"])
DEEP_TOML = st.sampled_from(
    ["a = " + "[" * 5000 + "]" * 5000, "a" + ".a" * 1_500 + " = 1", "a = " + "9" * 5000, "\x00"]
)


def row(changes: dict[str, Any]) -> str:
    """A task with some of its fields replaced."""
    return json.dumps({**TASK, **changes})


ROWS = st.lists(
    st.one_of(
        st.dictionaries(st.sampled_from(sorted(TASK)) | TEXT, JSON, max_size=2).map(row),
        st.dictionaries(
            st.sampled_from(["instance_id", "model_patch", "model_name_or_path", "seconds"]),
            st.sampled_from(["shop-1", "", 10**400, float("inf"), float("nan"), -1, True]) | JSON,
        ).map(lambda changes: json.dumps({**PREDICTION, **changes})),
        (st.sampled_from([10**400, float("inf"), float("nan"), -1, True, 2.5]) | JSON).map(
            lambda seconds: json.dumps({**PREDICTION, "seconds": seconds})
        ),
        DEEP,
        TEXT,
    ),
    max_size=4,
).map("\n".join)


def written(text: str, name: str, folder: str) -> Path:
    """A file with a text; lone surrogates become bytes that are no UTF-8."""
    path = Path(folder) / name
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return path


@target(text=ROWS)
def tasks_are_read(text: str) -> None:
    """Each row is a task that reads the same again, or a bad row with a reason."""
    with tempfile.TemporaryDirectory() as folder:
        path = written(text, "tasks.jsonl", folder)
        try:
            good, bad = read_instances(path)
        except UsageError:
            return
        assert all(problem.problem for problem in bad)
        for instance in good:
            assert Instance.model_validate_json(instance.line) == instance
            path.write_text(f"{instance.line}\n", encoding="utf-8")
            assert read_instances(path) == ([instance], [])


@target(text=ROWS)
def predictions_are_read(text: str) -> None:
    """Predictions are of known tasks, numbered from 0, and can be written down; or UsageError."""
    tasks = [Instance.model_validate(TASK)]
    with tempfile.TemporaryDirectory() as folder:
        path = written(text, "predictions.jsonl", folder)
        try:
            given = read_predictions(str(path), tasks)
        except UsageError:
            return
    assert {name for name, _ in given.predictions} == {"shop-1"}
    assert sorted(sample for _, sample in given.predictions) == list(range(given.samples))
    assert len(given.digest) == 64
    given.name.encode()
    for prediction in given.predictions.values():
        assert 0 <= prediction.seconds < math.inf
        stored = json.loads(json.dumps(prediction.model_dump(mode="json")))
        assert type(prediction).model_validate(stored) == prediction


@target(
    text=st.one_of(
        st.sampled_from(['[[repository]]\nrepo = "a"\n', "repository = 1\n", "[repository]\n"]),
        DEEP_TOML,
        TEXT,
    )
)
def a_manifest_is_read(text: str) -> None:
    """Recipes, or a UsageError."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            assert read_manifest(written(text, "manifest.toml", folder)).repository
        except UsageError as error:
            printable(str(error)).encode()


SETTING = st.builds(
    "{} = {}".format,
    st.sampled_from(["model", "sandbox", "environment", "samples", "timeout", "protected"]),
    st.sampled_from(['"none"', '"/etc"', '"docker"', "1", "1e999", "nan", "[1]", "{}", "true"]),
)
TABLE = st.sampled_from(["[tool]", "[tool.apprentice]", "tool = 1", "[tool.pytest]"])
SETTINGS = SETTING | st.lists(SETTING | TABLE | DEEP_TOML | TEXT, max_size=4).map("\n".join)


@target(text=SETTINGS, name=st.sampled_from(["apprentice.toml", "pyproject.toml"]))
def settings_of_a_repository_are_read(text: str, name: str) -> None:
    """A repository never opens the host to its tests; what it may not say is a UsageError."""
    with tempfile.TemporaryDirectory() as folder:
        written(text, name, folder)
        try:
            found = load_settings(Path(folder), {})
        except UsageError as error:
            printable(str(error)).encode()
            return
    assert found.sandbox != "none"
    assert found.environment is None


@target(
    text=SETTINGS | DEEP | JSON.map(json.dumps),
    name=st.sampled_from(["pyproject.toml", "package.json", "Makefile", "tox.ini", "setup.cfg"]),
)
def a_test_command_is_found(text: str, name: str) -> None:
    """A command that can be run, or NoTestsError."""
    data = text.encode("utf-8", "surrogatepass")
    try:
        found = detect([name], lambda _: data)
    except NoTestsError as error:
        printable(str(error)).encode()
    else:
        assert found.argv or found.framework == "pytest"


@target(
    text=TEXT
    | st.lists(st.sampled_from(["pytest", "'", "A=b", "env", "uv run", ";"])).map(" ".join)
)
def a_test_command_is_understood(text: str) -> None:
    """A command, or NoTestsError."""
    try:
        found = from_text(text)
    except NoTestsError as error:
        printable(str(error)).encode()
    else:
        assert found.argv or found.framework == "pytest"


NEEDS = st.lists(
    st.sampled_from(
        ["pytest", "-e .", "--index-url=x", "-rfile", "a @ file:///", "a; x", ".", "/a"]
    )
    | TEXT
)


@target(
    needs=NEEDS, groups=st.dictionaries(st.sampled_from(["test", "dev"]), NEEDS), text=DEEP_TOML
)
def dependencies_are_read(needs: list[str], groups: dict[str, list[str]], text: str) -> None:
    """What pip is told are names of packages: nothing of them is an option. Or SandboxError."""
    quoted = json.dumps(needs, ensure_ascii=True)
    tables = "".join(f"{name} = {json.dumps(group)}\n" for name, group in groups.items())
    for file in (f"[project]\ndependencies = {quoted}\n[dependency-groups]\n{tables}", text):
        try:
            words = requirements({"pyproject.toml": file.encode("utf-8", "surrogatepass")})
        except SandboxError as error:
            printable(str(error)).encode()
        else:
            assert not any(word.startswith("-") for word in words)
