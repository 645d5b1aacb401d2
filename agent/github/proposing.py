"""The second job: from an artifact to a draft pull request, or to a comment that says why not.

It may write, so it runs no code of the repository and believes no more of the artifact than it
must: what the patch changes, whether it applies, and what its text gives away is found out anew.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from agent.config import load_settings
from agent.github.artifact import Solved, read
from agent.github.client import Client
from agent.github.commit import Staged, blob_of, make_commit, paths_of, push, stage
from agent.github.event import IssueEvent, read_event
from agent.github.gate import refusal
from agent.github.report import Origin, comment, message_of, pull_request, title_of
from agent.github.rules import Rules, problems, test_problems
from agent.github.runner import Runner
from agent.repository import open_repository
from agent.status import AgentError, EnvironmentFailure, Status
from agent.verify.tamper import findings, hard_coded, suspicions

if TYPE_CHECKING:
    from git import Repo

BRANCHES = "apprentice/issue-"
_ARTIFACT_ID = re.compile(r"[0-9]{1,20}")


@dataclass(frozen=True)
class Wish:
    """What the workflow allows. `artifact` is the folder that the solving job left."""

    repository: Path
    artifact: Path
    label: str
    auto: bool = False
    unverified: bool = False
    rules: Rules = field(default_factory=Rules)
    artifact_id: str = ""


@dataclass(frozen=True)
class Proposal:
    """How it ended: the page of a pull request, or of a comment and why it is no pull request."""

    page: str
    opened: bool
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Checked:
    """A patch that may be proposed."""

    staged: Staged
    diff: str
    notes: tuple[str, ...]


def propose(runner: Runner, wish: Wish) -> Proposal:
    """Open a draft pull request for the runner's event, or comment on its issue why not.

    An issue that nobody may be told about is left in silence. Sets the outputs `opened` ("true" or
    "false") and `page`. Raises AgentError when GitHub or git fail.
    """
    event = read_event(runner.event_path, IssueEvent)
    client = Client(runner.repository, runner.api_url, runner.token)
    refused = refusal(event, client, wish.label, auto=wish.auto)
    solved: Solved | None = None
    made = ""
    if refused is not None:
        reasons = [refused.reason]
    else:
        try:
            solved, patch = read(wish.artifact)
            reasons = _claims(solved, event.issue.number, patch, unverified=wish.unverified)
            if not reasons:
                made, reasons = _make(runner, wish, event, client, solved, patch)
        except AgentError as error:
            if not _is_about_the_patch(error):
                raise
            reasons = [str(error)]
    if made:
        return _told(runner, Proposal(made, opened=True))
    page = ""
    if refused is None or refused.told:
        page = client.comment(
            event.issue.number, comment(solved, reasons, _link(runner, wish.artifact_id))
        )
    return _told(runner, Proposal(page, opened=False, reasons=tuple(reasons)))


def _make(
    runner: Runner, wish: Wish, event: IssueEvent, client: Client, solved: Solved, patch: str
) -> tuple[str, list[str]]:
    """The page of the pull request; or why none is made."""
    with closing(open_repository(wish.repository)) as repo:
        checked = _check(repo, wish, solved, patch)
        if isinstance(checked, list):
            return "", checked
        number = solved.issue
        when = f"{repo.head.commit.committed_date} +0000"
        commit = make_commit(repo, checked.staged, message_of(number, solved), when)
        branch = f"{BRANCHES}{number}-{checked.staged.tree[:8]}"
        if there := client.pull_request_of(branch, state="open"):
            return there, []
        if there := client.pull_request_of(branch, state="closed"):
            return "", [f"this very fix was proposed before, and closed: {there}"]
        title = title_of(number, event.issue.title, verified=solved.status is Status.VERIFIED)
        origin, link = Origin(solved.trajectory, runner.run_id), _link(runner, wish.artifact_id)
        text = pull_request(solved, checked.diff, checked.notes, origin, link)
        failed = f"the fix cannot be pushed to the branch {branch}"
        try:
            push(repo, commit, branch, f"{runner.server_url}/{runner.repository}.git", runner.token)
            failed = f"the branch {branch} holds the fix, but a draft cannot be opened"
            return client.open_draft(branch, event.repository.default_branch, title, text), []
        except EnvironmentFailure as error:
            said = f"{error}. {error.hint}".removesuffix(". ")
            return "", [f"{failed}: {said}"]


def _claims(solved: Solved, number: int, patch: str, *, unverified: bool) -> list[str]:
    """Why what the result says is no reason for a pull request."""
    if solved.issue != number:
        return [f"the result is about issue {solved.issue}"]
    if solved.status is Status.UNVERIFIED and not unverified:
        return [f"not verified: {solved.message}"]
    if solved.status not in (Status.VERIFIED, Status.UNVERIFIED):
        rejected = [f"a rejected attempt: {finding}" for finding in solved.rejected]
        return [f"{solved.status.value.replace('_', ' ')}: {solved.message}", *rejected]
    wrong = [f"a finding: {finding}" for finding in solved.findings]
    if not patch:
        wrong.append("there is no patch")
    if solved.broken:
        wrong.append(f"{len(solved.broken)} tests that passed before fail")
    if solved.status is Status.VERIFIED:
        unfixed = set(solved.targets) - set(solved.fixed)
        if not solved.targets or unfixed:
            wrong.append("the result calls verified what it does not show")
    return wrong


def _check(repo: Repo, wish: Wish, solved: Solved, patch: str) -> _Checked | list[str]:
    """The patch on the checkout, with what its text gives away; or why it may not be proposed."""
    head = repo.head.commit.hexsha
    if solved.base_commit != head:
        return [f"the result rests on {solved.base_commit[:10]}, the checkout on {head[:10]}"]
    settings = load_settings(Path(repo.working_dir), {})
    parts, wrong = problems(patch, wish.rules, (*settings.protected, *solved.test_files))
    new = solved.new_test if wish.rules.new_tests else None
    if new is not None:
        wrong += test_problems(new, paths_of(repo))
    if wrong:
        return wrong
    added = {new.path: new.text.encode()} if new else {}
    staged = stage(repo, parts.diff, [part.path for part in parts.allowed], added)
    before = {path: data for path, data in staged.before.items() if data is not None}
    after = {path: data for path, data in staged.after.items() if data is not None}
    tampered = findings(before, after)
    tampered += hard_coded(before, after, _tests(repo, solved.targets), solved.targets)
    if tampered:
        return [f"a finding: {finding}" for finding in tampered]
    notes = [*suspicions(before, after), *solved.suspicions]
    notes += [f"a rejected attempt: {finding}" for finding in solved.rejected]
    if new is not None:
        notes.append(f"{new.path} was written by the model from the issue")
    return _Checked(staged, parts.diff, tuple(dict.fromkeys(notes)))


def _tests(repo: Repo, targets: Sequence[str]) -> dict[str, bytes]:
    paths = {target.split("::", 1)[0] for target in targets}
    found = {path: blob_of(repo, "HEAD", path) for path in sorted(paths)[:50]}
    return {path: data for path, data in found.items() if data is not None}


def _link(runner: Runner, artifact_id: str) -> str:
    """The page of the run's artifact, as far as it is known."""
    known = _ARTIFACT_ID.fullmatch(artifact_id)
    return f"{runner.run_url}/artifacts/{artifact_id}" if known else runner.run_url


def _is_about_the_patch(error: AgentError) -> bool:
    from agent.github.artifact import ArtifactError
    from agent.github.commit import DoesNotApply

    return isinstance(error, ArtifactError | DoesNotApply)


def _told(runner: Runner, proposal: Proposal) -> Proposal:
    from agent.github.text import code

    page = proposal.page if re.fullmatch(r"https?://[!-~]{1,500}", proposal.page) else ""
    runner.output(opened="true" if proposal.opened else "false", page=page)
    lines = [f"- {code(reason, 500)}" for reason in proposal.reasons]
    title = "There is a pull request" if proposal.opened else "No pull request"
    runner.summary("\n".join([f"### {title}", page, "", *lines]))
    return proposal
