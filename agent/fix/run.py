"""`agent fix` from end to end: read what is staged, check it, repair it, write the files."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from agent.config import Settings
from agent.fix.caches import caches
from agent.fix.checks import Check, Checked, choose_checks, run_checks
from agent.fix.environment import has_program, project_environment
from agent.fix.report import Report, diff_of
from agent.fix.staged import Staged, before_commit, read_staged
from agent.repository import only_run
from agent.status import AgentError, BudgetSpent, EnvironmentFailure, Status
from agent.undo import pending
from agent.verify.protected import is_protected
from agent.workspace import Workspace, environment_of, make_workspace, timed
from tools.languages import language_of

if TYPE_CHECKING:
    from git import Repo

    from agent.fix.repair import Repair
    from agent.session import Listener
    from policies.base import Policy

Note = Callable[[str], None]
Open = Callable[[Settings], "Policy"]
View = Callable[[], "AbstractContextManager[Listener]"]


def fix(
    repo: Repo,
    asked: Sequence[Path],
    settings: Settings,
    open_policy: Open,
    view: View,
    note: Note = lambda _: None,
) -> Report:
    """Check what is staged; when a check fails, repair the files in question.

    Files are written only when every check passes with them, all or none, and only those that
    are `asked` for (or staged) and hold what is staged. `open_policy` and `view` are called when
    there is something to repair. What a killed run has left half written is undone first. Raises
    AgentError before the checks have run; what goes wrong later is in the report.
    """
    clock = timed()
    root = Path(repo.working_dir)
    if pending(root):
        with only_run(root):  # It undoes what is pending.
            pass
    staged = read_staged(repo, asked)
    if not staged.passed:
        return Report(Status.NOTHING_TO_DO, (), seconds=clock())
    settings = _settled(settings, staged)
    contents = {f.path: f.data for f in staged.capture.files if f.mode != "120000"}
    checks = choose_checks(
        settings,
        contents,
        staged.passed,
        lambda name: has_program(settings.environment, name),
        note,
    )
    if not checks:
        return Report(Status.NOTHING_TO_DO, (), seconds=clock())
    workspace = make_workspace(
        staged.capture, settings.model_copy(update={"test_command": checks[0].shown})
    )
    checked = run_checks(workspace, checks, caches(staged.capture.root, contents, checks))
    if all(one.passed for one in checked):
        return Report(Status.NOTHING_TO_DO, checked, seconds=clock())
    try:
        repair = _repair(repo, staged, workspace, checks, checked, settings, open_policy, view)
    except AgentError as error:
        return Report(error.status, checked, str(error), error.hint, seconds=clock())
    except BudgetSpent as spent:
        hint = "Give it more time with --timeout, or fix_timeout in [tool.apprentice]."
        return Report(Status.NOT_SOLVED, checked, str(spent), hint, seconds=clock())
    return Report(
        repair.status,
        checked,
        repair.message,
        files=tuple(sorted(repair.files)),
        diff=diff_of(contents, repair.files),
        trajectories=repair.trajectories,
        seconds=clock(),
    )


def _settled(settings: Settings, staged: Staged) -> Settings:
    """Settings with the environment of the checks and the quicker sandbox, where both are open.

    Only what the user has installed can tell what the user's checks say, and that is what
    bubblewrap shows; to ask a container engine for images takes longer than the checks.
    """
    tops = frozenset(file.path.split("/", 1)[0] for file in staged.capture.files)
    found = settings.environment or project_environment(staged.capture.root, tops)
    update: dict[str, object] = {"environment": environment_of(staged.capture, found)}
    if settings.sandbox == "auto" and settings.image is None:
        from tools.sandbox.bubblewrap import available

        update["sandbox"] = "auto" if available() else "bubblewrap"
    return settings.model_copy(update=update)


def _repair(
    repo: Repo,
    staged: Staged,
    workspace: Workspace,
    checks: Sequence[Check],
    checked: Sequence[Checked],
    settings: Settings,
    open_policy: Open,
    view: View,
) -> Repair:
    """Repair within the time limit, then write. Raises AgentError or BudgetSpent."""
    from agent import apply
    from agent.fix.deadline import Deadline
    from agent.fix.repair import Repairer, changed_lines
    from agent.verify.verifier import Verdict
    from policies.base import PolicyError
    from policies.experience.store import Store, StoreError
    from tools.sandbox.base import SandboxError

    editable = _editable(staged, workspace, checks, settings)
    contents = workspace.contents
    changed = {p: changed_lines(before_commit(repo, p), contents[p]) for p in editable}
    with ExitStack() as stack:
        stack.enter_context(only_run(staged.capture.root))
        apply.check_writable(staged.capture)
        try:
            with Deadline(settings.fix_timeout) as deadline, ExitStack() as opened:
                store = opened.enter_context(Store.open())
                policy = open_policy(settings)
                opened.callback(policy.close)
                repairer = Repairer(
                    staged.capture, workspace, checks, editable, changed, policy, store,
                    settings, deadline, [opened.enter_context(view())],
                )  # fmt: skip
                repair = repairer.repair(checked)
        except (PolicyError, SandboxError, StoreError) as error:
            raise EnvironmentFailure(str(error)) from error
        if repair.files:
            verdict = Verdict(True, diff_of(contents, repair.files), files=repair.files)
            with apply.uninterrupted():
                apply.deliver(repo, staged.capture, apply.Delivery(), Status.VERIFIED, verdict)
    return repair


def _editable(
    staged: Staged, workspace: Workspace, checks: Sequence[Check], settings: Settings
) -> list[str]:
    """The files that a repair may change. Raises EnvironmentFailure when there is none."""
    if not staged.capture.head:
        raise _Unfixable("nothing is repaired before the first commit", "Mend it yourself.")
    if staged.unstaged:
        on_disk = workspace.patched(staged.unstaged, {})
        if all(checked.passed for checked in run_checks(on_disk, checks)):
            names = shlex.join(staged.unstaged)
            raise _Unfixable(
                "the files on disk pass every check, but what is staged does not",
                f"Run `git add {names}` and commit again.",
            )
    code = [
        path
        for path in staged.passed
        if language_of(path) is not None
        and path in workspace.contents
        and not is_protected(path, settings.protected)
    ]
    if not code:
        raise _Unfixable(
            "none of the files in question is source code that may be changed (tests and settings "
            "never are)",
            "Mend them yourself.",
        )
    kept = [path for path in code if path not in staged.unstaged]
    if not kept:
        raise _Unfixable(
            f"{', '.join(code)}: there are unstaged changes on top of what is staged",
            "Stage all of them, or `git stash --keep-index` them, and run again.",
        )
    return kept


class _Unfixable(AgentError):
    """There is nothing that may be repaired; the commit has to wait."""

    status = Status.NOT_SOLVED
