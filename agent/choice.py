"""Which of several edits that pass the tests is right: the policy says, by writing one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.actions import literal
from agent.attempt import Attempt
from agent.context.prompts import render
from agent.workspace import timed
from policies.base import Constraint, ContextOverflow, Sampling
from policies.experience.redact import redact

CHOICE_TOKENS = 200
_OPEN, _CLOSE = "```diff\n", "\n```"


def choose(attempt: Attempt, options: Sequence[str], sources: Mapping[str, str]) -> int:
    """The number of the option that the policy writes, greedily, when it may write nothing else.

    `sources` are the definitions that the options change, by symbol. One option needs no asking,
    and an answer that does not fit the context is the first; so it is where one holds a secret, as
    what is written is stored. Raises BudgetSpent.
    """
    if len(set(options)) < 2 or any(redact(option)[1] for option in options):
        return 0
    attempt.budget.check()
    attempt.say(render("choose", sources=sources), "edit")
    sampling = Sampling(temperature=0.0, max_tokens=CHOICE_TOKENS, seed=attempt.settings.seed)
    limit = Constraint(grammar=grammar(options))
    messages = attempt.session.messages(attempt.number, attempt.round)
    clock = timed()
    try:
        completion = attempt.policy.sample(messages, 1, sampling, limit, attempt.progress)[0]
    except ContextOverflow:
        return 0
    attempt.budget.charge(completion.usage, clock())
    group = f"{attempt.number}.{attempt.round}"
    attempt.session.record(completion, sampling, limit, group=group, **attempt.tags("choose"))
    written = completion.text.removeprefix(_OPEN)
    whole = completion.finish_reason == "stop"
    written = written.removesuffix(_CLOSE) if whole else written
    return next(
        (
            number
            for number, option in enumerate(options)
            if option == written or (not whole and option.startswith(written))
        ),
        0,
    )


def grammar(options: Sequence[str]) -> str:
    """GBNF that admits one of the options, in a block."""
    texts = " | ".join(literal(option) for option in dict.fromkeys(options))
    return f"root ::= {literal(_OPEN)} ({texts}) {literal(_CLOSE)}"
