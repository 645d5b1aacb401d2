"""Events: the prompt, the log and the training record of one trajectory, in one list.

Every event is frozen and versioned. The store keeps them in order; `agent` renders the
messages of a prompt from them and the UI renders nothing else.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from policies.base import Frozen, Message, Sampling, ToolCall, Usage

SCHEMA_VERSION = 1

Phase = Literal[
    "prepare", "reproduce", "plan", "edit", "test", "critique", "choose", "verify", "apply"
]
TestLabel = Literal["baseline", "reproduction", "candidate", "verification"]
Basis = Literal["tests", "frames", "words"]
Outcome = Literal["passed", "failed", "error", "skipped", "xfailed", "xpassed", "hung"]
FeedbackOutcome = Literal["kept", "merged", "reverted", "closed"]


class _Event(Frozen):
    v: int = SCHEMA_VERSION
    at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    attempt: int | None = None
    round: int | None = None
    phase: Phase | None = None


class TaskStarted(_Event):
    """The first event: what is to be solved, by whom, under which settings."""

    kind: Literal["task_started"] = "task_started"
    issue: str
    repository: str
    base_commit: str
    dirty: bool
    policy_version: str
    sandbox: str
    package_version: str
    settings: dict[str, Any] = Field(default_factory=dict)


class Prepared(_Event):
    """The workspace is open in its sandbox."""

    kind: Literal["prepared"] = "prepared"
    sandbox: str
    files: int
    bytes: int
    test_command: tuple[str, ...]
    seconds: float


class Prompted(_Event):
    """A message that enters the prompt: system, task, instruction or observation."""

    kind: Literal["prompted"] = "prompted"
    message: Message


class Shortened(_Event):
    """From here on the prompt of the attempt is without the long ones of its oldest `observations`,
    counted as messages with the role of a tool."""

    kind: Literal["shortened"] = "shortened"
    observations: int


class Sampled(_Event):
    """A completion. Enters the prompt as an assistant message when `chosen`.

    Tokens are stored as `prompt_delta_ids` behind a prefix of `prefix_length` ids whose
    SHA-256 (over little-endian int32) is `prefix_digest`: the prefix is the prompt and
    completion of the sample before it in the same attempt. `mask` is 1 on trained tokens.
    """

    kind: Literal["sampled"] = "sampled"
    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    chosen: bool = True
    prefix_length: int = 0
    prefix_digest: str = ""
    prompt_delta_ids: tuple[int, ...] | None = None
    completion_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None
    mask: tuple[int, ...] | None = None
    finish_reason: str
    sampling: Sampling
    grammar: str | None = None
    usage: Usage
    seconds: float
    policy_version: str
    group: str = ""


class Acted(_Event):
    """A tool was called with these arguments.

    `answer` is the text of the sibling that says so, where siblings were drawn in this round, and
    `alike` are those of siblings that say it in other words.
    """

    kind: Literal["acted"] = "acted"
    call_id: str = ""
    tool: str
    arguments: dict[str, Any]
    answer: str = ""
    alike: tuple[str, ...] = ()


class Observed(_Event):
    """What the tool answered. `text` is capped; `cut` counts the characters left out."""

    kind: Literal["observed"] = "observed"
    call_id: str = ""
    tool: str
    ok: bool
    text: str
    cut: int = 0
    seconds: float = 0.0


class Tested(_Event):
    """Results of one test run by test id."""

    kind: Literal["tested"] = "tested"
    label: TestLabel
    outcomes: dict[str, Outcome]
    exit_code: int | None
    killed_by: str | None = None
    complete: bool = True
    seconds: float
    output: str = ""


class Screened(_Event):
    """Edits tried in bulk: how many, with how many nothing failed, how many were not tried.

    `failed` are those with which something failed, or the failing tests did not come to an end, of
    the edits that the policy wrote: the round in which it did, and the text of its answer.
    """

    kind: Literal["screened"] = "screened"
    tried: int
    clean: int
    left_out: int
    failed: tuple[tuple[int, str], ...] = ()
    seconds: float


class Located(_Event):
    """Suspected symbols, best first, as `path::qualname` with a score.

    They rest `on` what failing tests run, where they fail, or the words of the issue alone.
    """

    kind: Literal["located"] = "located"
    symbols: tuple[tuple[str, float], ...]
    on: Basis = "words"
    seconds: float


class Patched(_Event):
    """The attempt's patch as it stands (unified diff against the user's tree)."""

    kind: Literal["patched"] = "patched"
    diff: str


class Judged(_Event):
    """The verifier's verdict on a candidate patch."""

    kind: Literal["judged"] = "judged"
    verified: bool
    reasons: tuple[str, ...]
    findings: tuple[str, ...]
    suspicions: tuple[str, ...] = ()
    rewards: dict[str, float | None]
    fixed: tuple[str, ...]
    broken: tuple[str, ...]
    diff_sha256: str
    seconds: float


class AttemptEnded(_Event):
    """Why an attempt stopped: solved, rounds, stuck, budget, or error.

    Its patch is judged after it; in a rollout further answers of the attempt are tried and judged.
    """

    kind: Literal["attempt_ended"] = "attempt_ended"
    reason: str


class Applied(_Event):
    """Where the patch went: working tree, commit, branch or file."""

    kind: Literal["applied"] = "applied"
    target: str
    files: tuple[str, ...]


class Finished(_Event):
    """The last event of a run that ended by itself or by Ctrl-C; only feedback comes later."""

    kind: Literal["finished"] = "finished"
    status: str
    exit_code: int
    message: str = ""
    seconds: float
    model_seconds: float = 0.0
    test_seconds: float = 0.0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0


class Feedback(_Event):
    """What people made of the patch, told after the run: the only event that may follow its end.

    `kept` and `merged` speak for it, `reverted` and `closed` against it. `source` says who tells
    ("user", "github"), `link` where it can be seen.
    """

    kind: Literal["feedback"] = "feedback"
    outcome: FeedbackOutcome
    source: str = "user"
    link: str = ""
    note: str = ""


Event = Annotated[
    TaskStarted
    | Prepared
    | Prompted
    | Shortened
    | Sampled
    | Acted
    | Observed
    | Tested
    | Screened
    | Located
    | Patched
    | Judged
    | AttemptEnded
    | Applied
    | Finished
    | Feedback,
    Field(discriminator="kind"),
]

EVENT: TypeAdapter[Event] = TypeAdapter(Event)
