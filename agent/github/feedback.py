"""The third job: what became of a pull request, for the experience that it came from."""

from __future__ import annotations

from pathlib import Path

from agent.github.event import PullRequestEvent, read_event
from agent.github.proposing import BRANCHES
from agent.github.report import Origin, origin_of
from agent.github.runner import Runner
from policies.experience.events import Feedback


def origin(runner: Runner) -> tuple[Origin, PullRequestEvent] | None:
    """The origin of the event's pull request, None when it is not closed or not one of ours.

    Ours are on branches of the repository itself, which only people who may write can make. Sets
    the outputs `ours`, and for one of ours `trajectory` and `run`.
    """
    event = read_event(runner.event_path, PullRequestEvent)
    head = event.pull_request.head
    found = origin_of(event.pull_request.body)
    ours = (
        event.action == "closed"
        and event.repository.full_name == runner.repository
        and head.repo is not None
        and head.repo.full_name == runner.repository
        and head.ref.startswith(BRANCHES)
    )
    if not ours or found is None:
        runner.output(ours="false")
        runner.summary("The pull request is not one of Apprentice's.")
        return None
    runner.output(ours="true", trajectory=found.trajectory, run=found.run)
    return found, event


def give(runner: Runner, path: Path) -> Feedback | None:
    """Add what became of the event's pull request to the store at `path`.

    Returns None where there is nothing to add. Raises StoreError, also when the store does not hold
    the trajectory.
    """
    from policies.experience.store import Store

    known = origin(runner)
    if known is None:
        return None
    found, event = known
    outcome = "merged" if event.pull_request.merged else "closed"
    link = f"{runner.server_url}/{runner.repository}/pull/{event.pull_request.number}"
    feedback = Feedback.model_validate({"outcome": outcome, "source": "github", "link": link})
    with Store.open(path) as store:
        store.add_feedback(found.trajectory, feedback)
    runner.summary(f"Trajectory `{found.trajectory}`: the pull request was {outcome}.")
    return feedback
