"""Known fixes as answers in the harness's form."""

import pytest

from agent.actions import Action, parse_text
from agent.rollout.gold import fill_conversation, gold_conversation, gold_edit, gold_fill
from agent.status import UsageError
from agent.thoughts import PLAN
from policies.base import Message
from policies.learning.sft import gold
from tests.learning.tiny import tiny_tokenizer
from tests.tasks.samples import STEPS
from tools.edit import EDIT_SYMBOL

GOOD = b'''"""Shapes."""


class Circle:
    """Round."""

    def area(self):
        return 3.14 * self.r ** 2

    def rim(self):
        return 2 * 3.14 * self.r
'''
BUG = GOOD.replace(b"self.r ** 2", b"self.r * 2")


def test_the_innermost_definition_is_rewritten():
    edit = gold_edit({"a.py": BUG, "b.py": b""}, {"a.py": GOOD, "b.py": b""})
    assert edit.symbol == "a.py::Circle.area"
    assert edit.code == "    def area(self):\n        return 3.14 * self.r ** 2"
    assert edit.cause == "'return 3.14 * self.r * 2' should be 'return 3.14 * self.r ** 2'"


def test_answers_are_actions_of_the_harness():
    edit = gold_edit({"a.py": BUG}, {"a.py": GOOD})
    prompt = [Message(role="system", content="s"), Message(role="user", content="plan")]
    row = gold_conversation(prompt, edit)
    assert [m["role"] for m in row] == ["system", "user", "assistant", "user", "assistant"]
    plan = parse_text(row[2]["content"], [PLAN])
    assert plan == Action("plan", {"cause": edit.cause, "symbol": edit.symbol})
    assert "Write the complete corrected definition of a.py::Circle.area" in row[3]["content"]
    action = parse_text(row[4]["content"], [EDIT_SYMBOL])
    assert action.arguments == {"symbol": edit.symbol, "code": edit.code + "\n"}


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        ({"a.py": GOOD, "b.py": b"x = 1\n"}, "2 files"),
        ({"a.py": BUG.replace(b'"""Shapes."""', b'"""Forms."""'), "b.py": b""}, "one definition"),
        ({"a.py": BUG, "b.py": b""}, "0 files"),
    ],
)
def test_other_fixes_are_refused(after, reason):
    with pytest.raises(UsageError, match=reason):
        gold_edit({"a.py": BUG, "b.py": b""}, after)


@pytest.mark.parametrize(
    ("bug", "gap", "written"),
    [
        (STEPS.replace(b"total = 0", b"total = 1"), False, "total = 0"),
        (STEPS.replace(b"item is None", b"item is not None"), False, "if item is None:"),
        (STEPS.replace(b"        total += item\n", b""), True, "    total += item"),
        (
            STEPS.replace(b"        if item is None:\n            continue\n", b""),
            True,
            "if item is None:\n    continue",
        ),
        (STEPS.replace(b"    return total\n", b""), True, "return total"),
    ],
)
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_the_hole_that_a_fix_fills(bug, gap, written, ending):
    bug, good = bug.replace(b"\n", ending), STEPS.replace(b"\n", ending)
    fill = gold_fill({"a.py": bug}, {"a.py": good})
    assert (fill.hole.gap, fill.written) == (gap, written)
    assert fill.hole.edit(bug, fill.written).applied(bug) == good
    prompt = [Message(role="system", content="s"), Message(role="user", content="code")]
    *_, ask, answer = fill_conversation(prompt, fill)
    assert "a.py::steps" in ask["content"]
    assert answer == {"role": "assistant", "content": f"```python\n{written}\n```"}


CLOSURE = b"""def cached(f):
    def inner(x):
        y = f(x)
        return y
    return inner
"""


@pytest.mark.parametrize(
    ("bug", "good", "symbol"),
    [
        (CLOSURE.replace(b"    return inner\n", b""), CLOSURE, "a.py::cached"),
        (CLOSURE.replace(b"        return y\n", b""), CLOSURE, "a.py::cached.inner"),
        (STEPS.replace(b"    return total\n", b"").rstrip(), STEPS.rstrip(), "a.py::steps"),
    ],
)
def test_the_end_of_the_definition_where_lines_are_missing(bug, good, symbol):
    hole = gold_fill({"a.py": bug}, {"a.py": good}).hole
    assert (hole.symbol.id, hole.original, hole.place[0]) == (symbol, "", symbol)


@pytest.mark.parametrize(
    "bug",
    [
        STEPS.replace(b"total += item", b"total -= item"),
        STEPS.replace(b"0", b"1").replace(b"return total", b"return items"),
        STEPS.replace(b"def steps(items)", b"def steps(items, more)"),
    ],
)
def test_a_fix_that_no_hole_admits(bug):
    with pytest.raises(UsageError, match="fills no hole"):
        gold_fill({"a.py": bug}, {"a.py": STEPS})


def test_gold_rows_train_what_the_assistant_says():
    tokenizer = tiny_tokenizer()
    row = [
        {"role": "user", "content": "1 2"},
        {"role": "assistant", "content": "3"},
        {"role": "user", "content": "4"},
        {"role": "assistant", "content": "5 6"},
    ]
    (tokens,) = gold([row], tokenizer)
    assert (
        tokenizer.decode(tokens.ids)
        == "user 1 2 <end> assistant 3 <end> user 4 <end> assistant 5 6 <end>"
    )
    trained = [i for i, mask in zip(tokens.ids, tokens.mask, strict=True) if mask]
    assert tokenizer.decode(trained) == "3 <end> 5 6 <end>"
