"""A task from a bug: the tree without the failing tests, the patches, the issue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from agent.tasks.hide import hide_tests, test_place, unified_diff
from agent.tasks.instance import EnvironmentSetup, Instance, project_of
from agent.tasks.issue.describe import problem_statement
from agent.tasks.sources import Source
from tools.sandbox.base import File
from tools.testing.results import Failure

if TYPE_CHECKING:
    from agent.tasks.mutate import Mutation

COMBINATION = "combination"


def hidden(files: Mapping[str, File], tests: Sequence[str]) -> dict[str, bytes] | None:
    """The test files without these tests; None when one of the tests cannot be taken out."""
    names: dict[str, set[str]] = {}
    for test in tests:
        place = test_place(test)
        if place is None or not is_plain(files.get(place[0])):
            return None
        names.setdefault(place[0], set()).add(place[1])
    without: dict[str, bytes] = {}
    for path, wanted in sorted(names.items()):
        left = hide_tests(files[path].data, wanted)
        if left is None:
            return None
        without[path] = left
    return without


def is_plain(file: File | None) -> bool:
    """Whether a patch can speak of a file: UTF-8 text, with a name that needs no quotes."""
    if file is None or file.mode == "120000" or b"\0" in file.data:
        return False
    try:
        file.data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return file.path.isprintable() and not {'"', "\\"} & set(file.path)


def build(
    source: Source,
    setup: EnvironmentSetup,
    mutation: Mutation,
    lost: Sequence[str],
    stable: Sequence[str],
    failures: Mapping[str, Failure],
    licence: str = "",
) -> Instance | None:
    """The instance: base tree, then `test_patch`, then `patch`, is the source again.

    `lost` are the tests that the bug breaks, of those that are `stable`. None when `failures` do
    not say enough for an issue.
    """
    held = {file.path: file for file in source.files}
    good = {mutation.path: held[mutation.path].data}
    bad = {mutation.path: mutation.apply(good[mutation.path])}
    without = hidden(held, lost)
    assert without is not None
    tests = {path: held[path].data for path in without}
    patch = unified_diff(bad, good)
    told = problem_statement(failures, tests, patch)
    if not told:
        return None
    broken = frozenset(lost)
    family = COMBINATION if " + " in mutation.family else mutation.family
    return Instance(
        instance_id=f"{_slug(source.repo)}.{family}.{mutation.id}",
        repo=source.repo,
        base_commit=source.commit,
        problem_statement=told,
        patch=patch,
        test_patch=unified_diff(without, tests),
        fail_to_pass=tuple(test for test in stable if test in broken),
        pass_to_pass=tuple(test for test in stable if test not in broken),
        setup_patch=unified_diff({**good, **tests}, {**bad, **without}),
        environment_setup=setup,
        family=family,
        licence=licence or source.licence,
    )


def _slug(repo: str) -> str:
    version = repo.partition("==")[2]
    return f"{project_of(repo)}-{version}" if version else project_of(repo)
