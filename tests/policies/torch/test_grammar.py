"""Every grammar that the agent makes, in torch and in llama.cpp."""

from __future__ import annotations

import re

import pytest

from agent.actions import grammar, parse_text
from agent.holes import admits, holes
from agent.holes import grammar as infill_grammar
from agent.rollout.gold import gold_fill
from agent.thoughts import PLAN
from policies.base import Constraint, Message, PolicyError, Sampling
from policies.llamacpp import LlamaCppPolicy
from policies.torch.grammar import Grammars, as_terminal
from policies.torch.policy import TorchPolicy
from tests.tasks.samples import STEPS
from tools.codemap import parse
from tools.edit import CREATE_FILE, EDIT_SYMBOL, REPLACE_TEXT

ASK = [Message(role="user", content="Mend it.")]
SYMBOLS = ["src/a.py::f", 'src/b.py::G."h\\']
TOOLS = {
    "plan": ([PLAN], {"symbol": SYMBOLS}),
    "edit": ([EDIT_SYMBOL], {"symbol": SYMBOLS[:1]}),
    "create": ([CREATE_FILE], {"path": ["tests/test_bug.py"]}),
    "all": ([EDIT_SYMBOL, REPLACE_TEXT, CREATE_FILE], {}),
}
CODE = """\
def f(x, y):
    x["a\\n"] = y[-1] ^ 2
    if x and y:
        return x["]"]
"""
SYMBOL = parse("m.py", CODE.encode())[1]
HOLES = list(holes(SYMBOL, CODE.rstrip("\n")))
GRAMMARS = {
    **{name: grammar(*arguments) for name, arguments in TOOLS.items()},
    **{f"hole {place}": infill_grammar(hole) for place, hole in enumerate(HOLES)},
    "any text": "root ::= [a-z ]*",
}


@pytest.fixture(scope="module")
def ours(tiny_base):
    return TorchPolicy(tiny_base, context_tokens=1024)


@pytest.fixture(scope="module")
def llama(tiny_file):
    with LlamaCppPolicy(tiny_file, context_tokens=1024, threads=1) as policy:
        yield policy


@pytest.fixture(scope="module")
def grammars(ours, tiny_base):
    return Grammars(tiny_base.tokenizer, tiny_base.model.config.vocab_size, ours._ends)


@pytest.mark.parametrize("name", GRAMMARS)
def test_what_llamacpp_writes_is_admitted_token_by_token(llama, ours, grammars, name):
    sampling = Sampling(temperature=1.0, max_tokens=100, seed=1)
    drawn = llama.sample(ASK, 3, sampling, Constraint(grammar=GRAMMARS[name]))
    for answer in drawn:
        matcher = grammars.matcher(GRAMMARS[name])
        ids = [token for token in answer.completion_ids if token not in ours._ends]
        assert matcher.validate_tokens(ids) == len(ids)
        assert matcher.consume_tokens(ids)
        assert matcher.is_accepting() or answer.finish_reason == "length"


GOOD = STEPS.decode()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("total = 0", "total = 1"),
        ("total = 0", "total = 0 + 1"),
        ("item is None", "item is not None"),
        ("in items", "in items[1:]"),
        ("        total += item\n", ""),
        ("        if item is None:\n            continue\n", ""),
    ],
)
def test_known_fixes_are_admitted(ours, grammars, old, new):
    bug = GOOD.replace(old, new)
    fill = gold_fill({"a.py": bug.encode()}, {"a.py": GOOD.encode()})
    assert accepts(ours, grammars, infill_grammar(fill.hole), fill.written)
    assert admits(fill.hole, fill.written)


SAME = ["total = 0", "total = ", "total = 0 ", "total = 0  # mended", "total = # 0"]


@pytest.mark.parametrize("written", [*SAME, "total = `0`", "total -= 0"])
def test_the_same_line_is_not_admitted(ours, grammars, written):
    symbol = parse("a.py", GOOD.encode())[1]
    lines = (hole for hole in holes(symbol, GOOD) if not hole.gap)
    hole = next(hole for hole in lines if hole.original == "total = 0")
    assert not accepts(ours, grammars, infill_grammar(hole), written)
    assert not admits(hole, written)


def test_a_line_does_not_go_on_behind_its_end(ours, grammars):
    symbol = parse("a.py", GOOD.encode())[1]
    hole = next(hole for hole in holes(symbol, GOOD) if hole.end and hole.original[:2] == "if")
    for written, good in (
        ("if item is None: 1:", False),
        ("if item is None or item:", True),
        ("if item:", True),
        ("if not item:", True),
    ):
        assert accepts(ours, grammars, infill_grammar(hole), written) == good
        assert admits(hole, written) == good


@pytest.mark.parametrize(
    ("written", "good"),
    [
        ("total = 0", True),
        ("    total += item", True),
        ("    for part in item:\n        total += part", True),
        ("        total += item", False),
        ("  total += item", False),
        ("    # total += item", False),
        ("    total += item\n", False),
    ],
)
def test_lines_of_a_gap_are_as_deep_as_those_beside_it(ours, grammars, written, good):
    symbol = parse("a.py", GOOD.encode())[1]
    gaps = (hole for hole in holes(symbol, GOOD) if hole.gap)
    hole = next(hole for hole in gaps if hole.original == "return total")
    assert accepts(ours, grammars, infill_grammar(hole), written) == good == admits(hole, written)


def accepts(ours, grammars, rules, written):
    matcher = grammars.matcher(rules)
    ids = ours._tokenizer(f"```python\n{written}\n```", add_special_tokens=False).input_ids
    taken = matcher.validate_tokens(ids)
    return taken == len(ids) and matcher.consume_tokens(ids) and matcher.is_accepting()


@pytest.mark.parametrize("name", TOOLS)
def test_what_torch_writes_is_an_action(ours, name):
    sampling = Sampling(temperature=1.2, max_tokens=300 if name == "plan" else 80, seed=1)
    drawn = ours.sample(ASK, 3, sampling, Constraint(grammar=GRAMMARS[name]))
    finished = [answer for answer in drawn if answer.finish_reason == "stop"]
    tools, choices = TOOLS[name]
    for answer in finished:
        action = parse_text(answer.text, tools)
        for field, allowed in choices.items():
            assert action.arguments[field] in allowed
    if name == "plan":
        assert finished


@pytest.mark.parametrize("place", [place for place, hole in enumerate(HOLES) if not hole.gap])
def test_what_torch_writes_fills_the_hole(ours, place):
    hole = HOLES[place]
    sampling = Sampling(temperature=1.2, max_tokens=220, seed=1)
    drawn = ours.sample(ASK, 2, sampling, Constraint(grammar=GRAMMARS[f"hole {place}"]))
    finished = [answer.text for answer in drawn if answer.finish_reason == "stop"]
    assert finished
    assert f"```python\n{hole.original}\n```" not in finished
    for text in finished:
        assert admits(hole, text.removeprefix("```python\n").removesuffix("\n```"))


def test_characters_are_whole(ours):
    grammar = Constraint(grammar='root ::= "🦜🪿 ሀ" [\\u00e9🪿]{1,3} ("ok" | "\\t\\"\\\\")')
    sampling = Sampling(temperature=1.5, max_tokens=60, seed=1)
    drawn = ours.sample(ASK, 4, sampling, grammar)
    assert len({answer.text for answer in drawn}) > 1
    for answer in drawn:
        assert re.fullmatch('🦜🪿 ሀ[é🪿]{1,3}(ok|\t"\\\\)', answer.text)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("plan\ncause: x\nsymbol: src/a.py::f\n", True),
        ('plan\ncause: `\nsymbol: src/a.py::f\n', False),
        ("plan\ncause: " + "x" * 241 + "\nsymbol: src/a.py::f\n", True),
        ("plan\ncause: " + "x" * 242, False),
        ("plan\ncause: x\nsymbol: src/c.py::f\n", False),
        ("plan\n\n", False),
    ],
)  # fmt: skip
def test_edges(ours, grammars, text, whole):
    matcher = grammars.matcher(GRAMMARS["plan"])
    ids = ours._text.tokenize(text)
    assert (matcher.validate_tokens(ids) == len(ids)) == whole


def test_control_tokens_never_match(ours, grammars):
    matcher = grammars.matcher('root ::= "a" [^\\n]+')
    assert matcher.consume_tokens(ours._text.tokenize("a"))
    start = ours._text.tokenize("<|im_start|>")
    assert matcher.validate_tokens(start) == 0
    assert matcher.validate_tokens(ours._text.tokenize("<|im_start|>", special=False)) > 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("root ::= none", "cannot be read.*none"),
        ('root ::= "a', "cannot be read"),
        ('root ::= "(" root ")" | "x"', "cannot be used"),
        ('root ::= list\nlist ::= "(" list ")" | "x"', "list refer to themselves"),
        ('other ::= "a"', "root"),
    ],
)
def test_what_cannot_be_used(ours, text, reason):
    with pytest.raises(PolicyError, match=reason):
        ours.sample(ASK, 1, Sampling(max_tokens=4), Constraint(grammar=text))


def test_a_grammar_is_one_terminal():
    assert "start: WHOLE" in as_terminal(GRAMMARS["hole 0"])
