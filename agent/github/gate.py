"""Who may have an issue worked on, and whether it still says what they saw."""

from __future__ import annotations

from dataclasses import dataclass

from agent.github.client import Client
from agent.github.event import Issue, IssueEvent


@dataclass(frozen=True)
class Refusal:
    """Why an issue is not worked on. Strangers are not answered: `told` says who is."""

    reason: str
    told: bool = False


def refusal(event: IssueEvent, client: Client, label: str, *, auto: bool) -> Refusal | None:
    """Why the issue of this event is not worked on; None when it is.

    It must carry `label`, given by somebody who may write; with `auto`, an issue that such a
    person has just opened counts as labelled. Title and body must be those of the event.
    """
    asked = event.action == "labeled" and event.label is not None and event.label.name == label
    opened = auto and event.action == "opened"
    if not asked and not opened:
        given = event.label.name if event.label else "none"
        return Refusal(f"not asked for: {event.action}, label {given!r}, not {label!r}")
    if event.repository.full_name != client.repository:
        return Refusal(f"the event is about {event.repository.full_name}")
    if event.issue.pull_request is not None:
        return Refusal("it is a pull request")
    if opened and (event.issue.user is None or event.issue.user != event.sender):
        return Refusal("it was opened for somebody else")
    if not client.may_write(event.sender.login):
        return Refusal(f"{event.sender.login} may not write to {client.repository}")
    return _changed(event.issue, client.issue(event.issue.number), label if asked else None)


def _changed(then: Issue, now: Issue, label: str | None) -> Refusal | None:
    """Whether the issue is not any more what was labelled."""
    if now.state != "open":
        return Refusal("the issue is closed")
    if label is not None and all(given.name != label for given in now.labels):
        return Refusal(f"the label {label!r} was taken away")
    if (then.title, then.body or "") != (now.title, now.body or ""):
        return Refusal(
            "the issue was edited after it was labelled, so nobody has seen what it asks now: "
            "read it, take the label away and give it again",
            told=True,
        )
    return None
