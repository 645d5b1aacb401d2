"""Tasks from history: a fix whose tests fail before it and pass after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from agent.config import Settings
from agent.repository import Capture
from agent.status import AgentError, UsageError
from agent.tasks.baseline import seeded
from agent.tasks.environment import declared, pinned, with_environment
from agent.tasks.instance import EnvironmentSetup, Instance, project_of
from agent.tasks.mine import Candidate, candidates, statement
from agent.tasks.sources import fetch, repository
from agent.tasks.tree import ROOT, patched
from agent.verify.outcomes import is_pseudo, passed
from agent.workspace import make_workspace
from tools.sandbox.base import File, SandboxError
from tools.testing.results import TestEnvironmentError, TestRun

RUNS_AFTER = 2


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
    on_commit: Callable[[int, int, str], None],
) -> tuple[list[Instance], list[dict[str, str]]]:
    """At most `limit` tasks, newest first, and why other fixes are none.

    `on_commit` gets tasks found, tasks wanted, and what became of the commit. Raises AgentError.
    """
    found: list[Instance] = []
    problems: list[dict[str, str]] = []
    with repository(repo) as git:
        for candidate in candidates(git, commits, any_commit):
            told = statement(candidate.message, candidate.patch, issues)
            try:
                if not told:
                    raise UsageError("its message says nothing that may be told")
                task = validated(repo, candidate, told, settings, packages, test_command)
            except (AgentError, SandboxError, TestEnvironmentError) as error:
                problems.append({"commit": candidate.commit, "problem": str(error)})
                on_commit(len(found), limit, f"{candidate.commit[:10]}: {error}")
                continue
            found.append(task)
            on_commit(len(found), limit, f"{candidate.commit[:10]}: a task")
            if len(found) == limit:
                break
    return found, problems


def validated(
    repo: str,
    candidate: Candidate,
    told: str,
    settings: Settings,
    packages: tuple[str, ...] | None,
    test_command: str | None,
) -> Instance:
    """The task of a fix, once its tests have failed before and passed after it, twice.

    Raises UsageError when they do not, AgentError and SandboxError when they cannot be run.
    """
    source = fetch(repo, candidate.parent)
    needs = declared(source.files) if packages is None else packages
    setup = pinned(EnvironmentSetup(packages=needs, test_command=test_command))
    visible = patched(source.files, candidate.test_patch)
    before = _run(visible, settings, setup)
    fixed = patched(visible, candidate.patch)
    runs = [_run(fixed, settings, setup, seed) for seed in range(RUNS_AFTER)]
    after = set(passed(runs[0])).intersection(*map(passed, runs))
    lost = [test for test in runs[0].outcomes if test in after and not _passed(before, test)]
    if not lost:
        raise UsageError("no test fails before it and passes after it")
    if any(is_pseudo(test) for test in lost):
        raise UsageError("its tests have no names")
    return Instance(
        instance_id=f"{project_of(repo)}.{candidate.commit[:12]}",
        repo=repo,
        base_commit=candidate.parent,
        problem_statement=told,
        patch=candidate.patch,
        test_patch=candidate.test_patch,
        fail_to_pass=tuple(lost),
        pass_to_pass=tuple(t for t in before.outcomes if _passed(before, t) and t in after),
        environment_setup=setup,
        family="mined",
    )


def _passed(run: TestRun, test: str) -> bool:
    return run.outcomes.get(test) == "passed"


def _run(
    files: tuple[File, ...], settings: Settings, setup: EnvironmentSetup, seed: int = 0
) -> TestRun:
    own = with_environment(settings, setup)
    tree = Capture(ROOT / "source", "", dirty=False, files=files)
    workspace = seeded(make_workspace(tree, own), seed)
    with workspace.fresh() as sandbox:
        run = workspace.test(sandbox)
    if not run.complete:
        raise UsageError(f"the suite does not come to its end ({run.summary})")
    return run
