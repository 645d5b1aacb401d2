"""Issue texts from the behaviour of failing tests: what a user sees, never how to fix it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from agent.tasks.issue.teller import tell
from agent.tasks.issue.wording import normalised
from policies.base import ContextOverflow, Message, Policy, Sampling
from tools.testing.results import Failure

__all__ = ["leaks", "normalised", "problem_statement", "written_by_policy"]

MAX_CHARACTERS, MAX_BEHAVIOURS = 1500, 3
LEAK_CHARACTERS = 8


def problem_statement(
    failures: Mapping[str, Failure], sources: Mapping[str, bytes], patch: str
) -> str:
    """The issue: up to three different behaviours, 1500 characters, the same for the same input.

    `sources` are the files that hold the tests, `patch` the known fix, of which no line is said.
    Empty when no failure shows anything that a reader without the tests could follow.
    """
    told = (tell(test, failure, sources) for test, failure in sorted(failures.items()))
    seen = [one for one in told if one is not None and not leaks(one.text, patch)]
    seen.sort(key=lambda b: (b.rank, len(b.text), b.text))
    chosen: dict[str, str] = {}
    for behaviour in seen:
        size = sum(len(text) + 2 for text in chosen.values()) + len(behaviour.text)
        if len(chosen) < MAX_BEHAVIOURS and size <= MAX_CHARACTERS:
            chosen.setdefault(behaviour.subject, behaviour.text)
    return "\n\n".join(dict.fromkeys(chosen.values()))


def written_by_policy(
    policy: Policy,
    failures: Mapping[str, Failure],
    sources: Mapping[str, bytes],
    patch: str,
    fallback: str,
) -> str:
    """The issue in a policy's words; `fallback`, the text to rewrite, when these cannot be used.

    They cannot when they are empty, say a line of the patch, or name a test or a file of tests.
    Raises PolicyError.
    """
    prompt = (
        "Rewrite this report of a bug as a user of the library would write it, in plain English, "
        "in at most 150 words. Keep each call and each value exactly. Describe only what goes "
        "wrong and what was expected: no cause, no fix, no tests. Answer with the report alone."
        f"\n\n{fallback}"
    )
    try:
        answer = policy.sample([Message(role="user", content=prompt)], 1, Sampling(seed=0))[0]
    except ContextOverflow:
        return fallback
    text = re.sub(r"<think>.*?(</think>|\Z)", "", answer.text, flags=re.DOTALL).strip()
    ids = [part for test in failures for part in re.split(r"::|\[", test)[1:2] + test.split("::")]
    names = {part.split("[")[0] for part in ids} | set(sources)
    told = any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) for name in names if name)
    if not text or len(text) > MAX_CHARACTERS or told or leaks(text, patch):
        return fallback
    return text


def leaks(text: str, patch: str) -> bool:
    """Whether a text holds a line that the patch adds or removes, blanks and quotes aside."""
    said = _packed(text)
    return any(line in said for line in _changed(patch))


def _changed(patch: str) -> list[str]:
    """The lines that a patch adds or removes, packed, those of the headers aside."""
    lines: list[str] = []
    in_hunk = False
    for line in patch.split("\n"):
        if line.startswith(("diff --git ", "@@ ")):
            in_hunk = line.startswith("@@ ")
        elif in_hunk and line[:1] in {"+", "-"} and len(line[1:].strip()) >= LEAK_CHARACTERS:
            lines.append(_packed(line[1:]))
    return lines


def _packed(text: str) -> str:
    return re.sub(r"\s+", "", text).replace('"', "'")
