"""Tasks from history: a fix whose tests fail before it and pass after it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from agent.config import Settings
from agent.repository import Capture
from agent.status import UsageError
from agent.tasks.baseline import seeded
from agent.tasks.environment import declared, pinned, with_environment
from agent.tasks.history import Candidate, candidates, statement
from agent.tasks.instance import EnvironmentSetup, Instance, project_of
from agent.tasks.journal import Journal
from agent.tasks.problems import Problem, told
from agent.tasks.releases import release_candidates
from agent.tasks.sources import fetch, repository
from agent.tasks.tree import ROOT, patched
from agent.verify.outcomes import is_pseudo, lacking, passed
from agent.workspace import make_workspace
from tools.sandbox.base import File
from tools.testing.results import TestRun

RUNS = 2
_PACKAGE = re.compile(r"pypi:([A-Za-z0-9][\w.-]*)")


class Tried(BaseModel):
    """What became of a commit: a task, or why it is none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    commit: str
    task: Instance | None = None
    problem: str = ""


def mine_tasks(
    repo: str,
    settings: Settings,
    *,
    limit: int,
    commits: int,
    any_commit: bool,
    issues: Mapping[int, str],
    packages: tuple[str, ...] | None,
    test_command: str | None,
    kept: Path,
    on_commit: Callable[[int, int, str], None],
) -> tuple[list[Instance], list[Problem]]:
    """At most `limit` tasks, newest first, and why other fixes are none.

    What became of each commit is written down in the folder `kept`, and not tried again.
    `on_commit` gets tasks found, tasks wanted, and what became of the commit. Raises AgentError.
    """
    found: list[Instance] = []
    problems: list[Problem] = []
    key = hashlib.sha256(json.dumps([repo, packages, test_command]).encode()).hexdigest()[:16]
    journal = Journal(kept / f"mine-{key}.jsonl", Tried)
    done = {tried.commit: tried for tried in journal.rows()}
    with _candidates(repo, commits, any_commit) as fixes:
        for candidate in fixes:
            if isinstance(candidate, Problem):
                problems.append(candidate)
                continue
            tried = done.get(candidate.commit)
            if tried is None:
                tried, lasting = _try(candidate, settings, issues, packages, test_command)
                if lasting:
                    journal.append(tried)
            if tried.task is not None:
                found.append(tried.task)
            else:
                problems.append(Problem(where=candidate.commit, problem=tried.problem))
            on_commit(len(found), limit, f"{candidate.commit[:10]}: {tried.problem or 'a task'}")
            if len(found) == limit:
                break
    return found, problems


@contextmanager
def _candidates(repo: str, limit: int, any_fix: bool) -> Iterator[Iterator[Candidate | Problem]]:
    """The fixes in a git history, or among the releases of `pypi:NAME`. Raises AgentError."""
    if package := _PACKAGE.fullmatch(repo):
        yield release_candidates(package[1], limit, any_fix)
    elif repo.startswith("pypi:"):
        raise UsageError(f"{repo} is no package", "Write pypi:NAME, without a version.")
    else:
        with repository(repo) as git:
            yield candidates(git, repo, limit, any_fix)


def _try(
    candidate: Candidate,
    settings: Settings,
    issues: Mapping[int, str],
    packages: tuple[str, ...] | None,
    test_command: str | None,
) -> tuple[Tried, bool]:
    """What became of a fix, and whether that is so for good."""
    issue = statement(candidate.message, candidate.patch, issues)
    try:
        if not issue:
            raise UsageError("its message says nothing that may be told")
        task = validated(candidate, issue, settings, packages, test_command)
    except Exception as error:
        return Tried(commit=candidate.commit, problem=told(error)), isinstance(error, UsageError)
    return Tried(commit=candidate.commit, task=task), True


def validated(
    candidate: Candidate,
    issue: str,
    settings: Settings,
    packages: tuple[str, ...] | None,
    test_command: str | None,
) -> Instance:
    """The task of a fix, once its tests have failed before and passed after it, twice each.

    Raises UsageError when they do not, AgentError and SandboxError when they cannot be run.
    """
    source = fetch(candidate.repo, candidate.parent)
    needs = declared(source.files) if packages is None else packages
    setup = pinned(EnvironmentSetup(packages=needs, test_command=test_command))
    visible = patched(patched(source.files, candidate.setup_patch), candidate.test_patch)
    before = [passed(_run(visible, settings, setup, seed)) for seed in range(RUNS)]
    fixed = patched(visible, candidate.patch)
    after = [passed(_run(fixed, settings, setup, seed)) for seed in range(RUNS)]
    good = [test for test in after[0] if all(test in tests for tests in after)]
    lost = [test for test in good if not any(test in tests for tests in before)]
    if not lost:
        raise UsageError("no test fails before it and passes after it")
    if any(is_pseudo(test) for test in lost):
        raise UsageError("its tests have no names")
    return Instance(
        instance_id=f"{project_of(candidate.repo)}.{candidate.name}",
        repo=candidate.repo,
        base_commit=candidate.parent,
        problem_statement=issue,
        patch=candidate.patch,
        test_patch=candidate.test_patch,
        setup_patch=candidate.setup_patch,
        fail_to_pass=tuple(lost),
        pass_to_pass=tuple(test for test in good if all(test in tests for tests in before)),
        environment_setup=setup,
        licence=source.licence,
        family="mined",
    )


def _run(
    files: tuple[File, ...], settings: Settings, setup: EnvironmentSetup, seed: int
) -> TestRun:
    own = with_environment(settings, setup)
    tree = Capture(ROOT / "source", "", dirty=False, files=files)
    workspace = seeded(make_workspace(tree, own), seed)
    with workspace.fresh() as sandbox:
        run = workspace.test(sandbox)
    if not run.complete and run.missing_modules:
        raise UsageError(
            lacking(run),
            "Name all that they need with --package.",
        )
    if not run.complete:
        raise UsageError(f"the suite does not come to its end ({run.summary})")
    return run
