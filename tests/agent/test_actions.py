"""Actions: the grammar admits what the parser reads, and errors teach."""

import pytest

from agent.actions import FormatError, constraint, form, grammar, parse, parse_text
from agent.thoughts import PLAN, SUBMIT
from policies.base import Completion, ToolCall, Usage
from tools.edit import EDIT_SYMBOL

EDIT = "edit_symbol\nsymbol: a.py::f\n```python\ndef f():\n    return 1\n```"


def test_an_edit_is_read():
    action = parse_text(EDIT, [EDIT_SYMBOL])
    assert action.tool == "edit_symbol"
    assert action.arguments == {"symbol": "a.py::f", "code": "def f():\n    return 1\n"}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "first line must be one of: edit_symbol"),
        ("sure! here it is", "it was 'sure! here it is'"),
        ("edit_symbol\nfile: a.py", "expected a line 'symbol: …', got 'file: a.py'"),
        ("edit_symbol\nsymbol: a.py::f\ndef f(): pass", "must stand in a ``` block"),
    ],
)
def test_a_malformed_reply_is_quoted_with_the_rule_it_broke(text, rule):
    with pytest.raises(FormatError) as caught:
        parse_text(text, [EDIT_SYMBOL])
    assert rule in str(caught.value)


def test_a_cut_off_reply_is_no_action():
    completion = Completion(text=EDIT, finish_reason="length", usage=Usage(completion=7))
    with pytest.raises(FormatError, match="cut off after 7 tokens"):
        parse(completion, [EDIT_SYMBOL])


def test_tool_calls_are_actions_and_unknown_tools_are_refused():
    call = ToolCall(id="1", name="submit", arguments={})
    assert parse(Completion(text="", tool_calls=(call,)), [SUBMIT])[0].call_id == "1"
    with pytest.raises(FormatError, match="there is no tool 'submit' here; use one of: plan"):
        parse(Completion(text="", tool_calls=(call,)), [PLAN])


def test_choices_bind_both_forms():
    choices = {"symbol": ["a.py::f", 'b".py::g']}
    assert r'("a.py::f" | "b\".py::g")' in grammar([PLAN], choices)
    assert 'line{1,16} "```"' in grammar([EDIT_SYMBOL], choices, lines=16)
    assert 'line+ "```"' in grammar([EDIT_SYMBOL], choices)
    declared = constraint([PLAN], choices, calls_tools=True).tools[0]["function"]
    assert declared["parameters"]["properties"]["symbol"]["enum"] == choices["symbol"]


def test_the_form_shown_is_the_form_read():
    shown = form(EDIT_SYMBOL).replace("<symbol>", "a.py::f").replace("<code>", "def f(): pass")
    assert parse_text(shown, [EDIT_SYMBOL]).arguments["symbol"] == "a.py::f"
