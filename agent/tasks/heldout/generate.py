"""Held-out tests of a task: made, recorded on the good version, checked against bugs."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from random import Random

from agent.tasks.baseline import seeded
from agent.tasks.heldout.module import Draft, drafts, recording, written
from agent.tasks.heldout.settle import Seen, settled
from agent.tasks.hide import unified_diff
from agent.tasks.instance import Instance
from agent.tasks.mutate import mutations
from agent.tasks.tree import visible_files
from agent.verify.held_out import MARK, HeldOut, ended, judge, run_held_out, with_held_out
from agent.verify.outcomes import is_pseudo
from agent.workspace import Workspace
from tools.sandbox.base import File, PathError
from tools.testing.results import TestEnvironmentError

MUTANTS = 5
PER_FUNCTION, MOST, ENOUGH = 4, 24, 4
SECONDS = 40.0

Tests = Mapping[str, Mapping[str, ast.FunctionDef]]
"""Tests by the path of their file and the qualified name of their variant."""

Key = tuple[str, str]


def held_out_patch(workspace: Workspace, instance: Instance) -> str:
    """A diff that adds held-out tests, '' where none come out. The same for the same instance.

    `workspace` holds the good version. A test stays if it passes there with three hash seeds and
    fails with the task's bug, or with another bug in the same function. Raises SandboxError,
    UsageError.
    """
    good = {file.path: file for file in workspace.files}
    made = drafts(good, instance.instance_id, instance.fail_to_pass)
    limited = dataclasses.replace(workspace, test_timeout=min(SECONDS, workspace.test_timeout))
    tests = _settled(limited, made)
    tests = _without(tests, _failing(seeded(limited, 0), made, tests))
    kept = _chosen(tests, _broken(limited, instance, made, tests))
    for seed in (1, 2):
        kept = _without(kept, _failing(seeded(limited, seed), made, kept))
    files = _files(made, kept)
    return unified_diff({}, {file.path: file.data for file in files})


def _settled(workspace: Workspace, made: Sequence[Draft]) -> Tests:
    """Tests that expect what two runs with other hashes saw alike."""
    if not made:
        return {}
    first, second = (_record(seeded(workspace, seed), made) for seed in (0, 1))
    tests: dict[str, dict[str, ast.FunctionDef]] = {}
    bodies: set[str] = set()
    for draft in made:
        own = tests.setdefault(draft.path, {})
        for variant in draft.variants:
            key = (draft.path, variant.name)
            seen = first.get(key)
            if seen is None or seen != second.get(key):
                continue
            test = settled(variant, seen)
            body = ast.unparse(ast.fix_missing_locations(test)).partition("\n")[2] if test else ""
            if test is not None and body not in bodies:
                own[variant.name] = test
                bodies.add(body)
    return tests


def _record(workspace: Workspace, made: Sequence[Draft]) -> dict[Key, Seen]:
    """What each variant saw in one run, where it saw the same every time that it ran."""
    own = with_held_out(workspace, [recording(draft) for draft in made])
    rows: dict[Key, list[Seen]] = {}
    with own.fresh() as sandbox:
        try:
            own.test(sandbox, tuple(draft.path for draft in made))
        except TestEnvironmentError:
            return {}
        for draft in made:
            try:
                text = sandbox.read(f"{draft.path}.seen").decode("utf-8")
            except PathError:
                continue
            for line in text.splitlines():
                if sandbox.workspace in line or "/tmp" in line:  # noqa: S108
                    continue
                row = json.loads(line)
                rows.setdefault((draft.path, row["test"]), []).append(Seen.of(row))
    return {key: seen[0] for key, seen in rows.items() if all(s == seen[0] for s in seen)}


def _files(made: Sequence[Draft], tests: Tests) -> list[File]:
    return [written(draft, tests[draft.path]) for draft in made if tests.get(draft.path)]


def _failing(workspace: Workspace, made: Sequence[Draft], tests: Tests) -> set[Key]:
    """The tests that do not pass on a tree."""
    files = _files(made, tests)
    return _keys(judge(workspace, files)) if files else set()


def _broken_by(workspace: Workspace, made: Sequence[Draft], tests: Tests) -> set[Key]:
    """The tests that fail on a tree with a bug; none where the bug stops the others."""
    files = _files(made, tests)
    try:
        run = run_held_out(workspace, files)
    except TestEnvironmentError:
        return set()
    stopped = "hung" in run.outcomes.values() or any(map(is_pseudo, run.outcomes))
    return set() if stopped or not run.complete else _keys(ended(files, run))


def _keys(told: HeldOut) -> set[Key]:
    failed = (test.partition("::") for test in told.failed)
    return {(path, name.replace("::", ".")) for path, _, name in failed}


def _without(tests: Tests, gone: set[Key]) -> Tests:
    return {
        path: {name: test for name, test in own.items() if (path, name) not in gone}
        for path, own in tests.items()
    }


def _broken(
    workspace: Workspace, instance: Instance, made: Sequence[Draft], tests: Tests
) -> list[Key]:
    """The tests that a bug breaks: those that the task's own does, others where they are few."""
    everything = {(path, name) for path, own in tests.items() for name in own}
    found: list[Key] = []
    for files in _bugs(workspace, instance):
        left = _only(tests, everything - set(found))
        if len(found) >= ENOUGH or not any(left.values()):
            break
        bugged = seeded(dataclasses.replace(workspace, files=files), 0)
        found += sorted(_broken_by(bugged, made, left))
    return found


def _only(tests: Tests, wanted: set[Key]) -> Tests:
    return {
        path: {name: test for name, test in own.items() if (path, name) in wanted}
        for path, own in tests.items()
    }


def _chosen(tests: Tests, broken: Sequence[Key]) -> Tests:
    """Some of the tests that a bug breaks, not too many of one function."""
    counts: Counter[Key] = Counter()
    kept: set[Key] = set()
    for path, name in broken:
        original = (path, name.partition(MARK)[0])
        if counts[original] < PER_FUNCTION and len(kept) < MOST:
            counts[original] += 1
            kept.add((path, name))
    return _only(tests, kept)


def _bugs(workspace: Workspace, instance: Instance) -> Iterator[tuple[File, ...]]:
    """Trees with a bug: the task's own, then others in the functions that its fix changes."""
    good = {file.path: file for file in workspace.files}
    bad = visible_files(instance)
    yield bad
    found = [
        (file.path, mutation)
        for file in bad
        if file.path.endswith(".py") and file.path in good and good[file.path].data != file.data
        for spans in [_spans(good[file.path].data, file.data)]
        for mutation in _mutations(file.path, good[file.path].data)
        if any(start <= mutation.line <= end for start, end in spans)
    ]
    random = Random(instance.instance_id)  # noqa: S311
    for path, mutation in random.sample(found, min(len(found), MUTANTS)):
        file = dataclasses.replace(good[path], data=mutation.apply(good[path].data))
        yield workspace.with_file(file).files


_mutations = lru_cache(8)(mutations)


def _spans(good: bytes, bad: bytes) -> list[tuple[int, int]]:
    """First and last line of the innermost functions of the good version that differ."""
    before, after = good.splitlines(), bad.splitlines()
    blocks = difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    changed = [range(i + 1, max(i + 1, j) + 1) for tag, i, j, _, _ in blocks if tag != "equal"]
    try:
        functions = [
            (node.lineno, node.end_lineno or node.lineno)
            for node in ast.walk(ast.parse(good))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
    except (SyntaxError, ValueError):
        return []
    around = [
        max((span for span in functions if span[0] <= line <= span[1]), default=None)
        for lines in changed
        for line in lines
    ]
    return sorted({span for span in around if span is not None})
