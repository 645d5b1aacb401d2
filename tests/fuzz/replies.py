"""Replies of models: an action of a known tool with its own arguments, or a FormatError."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace
from typing import Any

from hypothesis import strategies as st

from agent.actions import Action, FormatError, form, parse, parse_text
from agent.thoughts import CRITIQUE, PLAN, SUBMIT
from agent.ui.text import printable
from policies.base import MALFORMED, Completion, ToolCall, Usage
from policies.hosted import _call
from tests.fuzz.registry import JSON, LINE, TEXT, target
from tools.base import Tool
from tools.edit import CREATE_FILE, EDIT_SYMBOL, REPLACE_TEXT
from tools.files import LIST_FILES, READ_FILE, SEARCH, matches
from tools.sandbox.inside.common import Refused, parts_of

TOOLS: tuple[Tool[Any], ...] = (
    PLAN, CRITIQUE, SUBMIT, EDIT_SYMBOL, REPLACE_TEXT, CREATE_FILE, LIST_FILES, READ_FILE, SEARCH,
)  # fmt: skip
NAMES = st.sampled_from([tool.name for tool in TOOLS])
FORMS = st.sampled_from([form(tool) for tool in TOOLS])
KEYS = st.sampled_from(
    [name for tool in TOOLS for name in tool.arguments.model_fields] + [MALFORMED, ""]
)
WORDS = st.one_of(
    NAMES,
    FORMS,
    TEXT,
    st.builds("{}: {}".format, KEYS, LINE),
    st.sampled_from(["```python", "```"]),
)
PLAIN = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=30)


@target(text=st.lists(WORDS, max_size=8).map("\n".join))
def a_text_reply_is_parsed(text: str) -> None:
    """The action has exactly the fields of its tool, all of them texts."""
    try:
        action = parse_text(text, TOOLS)
    except FormatError as error:
        printable(str(error)).encode()
        return
    tool = next(tool for tool in TOOLS if tool.name == action.tool)
    assert action.arguments.keys() == tool.arguments.model_fields.keys()
    assert all(isinstance(value, str) for value in action.arguments.values())


@target(symbol=PLAIN, code=st.lists(PLAIN.filter(lambda text: "`" not in text)))
def a_text_reply_comes_back(symbol: str, code: list[str]) -> None:
    """What a model writes in the form is what is read."""
    body = "".join(f"{line}\n" for line in code)
    text = f"edit_symbol\nsymbol: {symbol}\n```python\n{body}```"
    expected = Action("edit_symbol", {"symbol": symbol.strip(), "code": body})
    assert parse_text(text, TOOLS) == expected


@target(
    name=NAMES | TEXT,
    arguments=st.dictionaries(KEYS | TEXT, JSON, max_size=4),
    reason=st.sampled_from(["stop", "length", "tool_calls"]),
)
def a_tool_call_is_parsed(name: str, arguments: dict[str, Any], reason: str) -> None:
    """A call is of a known tool; the tool's own schema takes its arguments or says why not."""
    call = ToolCall.model_construct(id="1", name=name, arguments=arguments)
    completion = Completion(text="", finish_reason=reason, usage=Usage(), policy_version="p")
    completion = completion.model_copy(update={"tool_calls": (call,)})
    try:
        (action,) = parse(completion, TOOLS)
    except FormatError as error:
        printable(str(error)).encode()
        return
    tool = next(tool for tool in TOOLS if tool.name == action.tool)
    if tool in (PLAN, CRITIQUE, SUBMIT):
        observation = tool.call(None, action.arguments)  # type: ignore[arg-type]
        printable(observation.text).encode()


@target(text=TEXT | JSON.map(json.dumps) | st.sampled_from(["[" * 12_000, "9" * 5000, ""]))
def a_call_of_a_provider_is_read(text: str) -> None:
    """Arguments are an object: the one that was sent, or the text that was none."""
    raw = SimpleNamespace(id=None, function=SimpleNamespace(name=None, arguments=text))
    call = _call(raw)
    assert isinstance(call.arguments, dict)
    assert call.arguments.get(MALFORMED, text) == text


@target(
    path=st.lists(
        st.sampled_from(["..", ".", "", "/", "a", ".git", "\0", "b\udce9", "\ud800"]) | TEXT
    ).map("/".join)
)
def a_path_stays_in_the_workspace(path: str) -> None:
    """A path that is taken leads below the workspace, and never to git's own files."""
    try:
        parts = parts_of(path)
    except Refused:
        return
    whole = os.path.normpath(os.path.join(b"/workspace", *parts))
    assert (whole + b"/").startswith(b"/workspace/")
    assert b".git" not in parts


@target(path=TEXT, glob=TEXT | st.lists(st.sampled_from(["**", "*", "/", "?", "a"])).map("".join))
def a_glob_is_matched(path: str, glob: str) -> None:
    """Any pattern can be asked for; a plain one matches itself."""
    matches(path, glob)
    plain = "".join(c for c in path if c.isalnum())
    assert not plain or matches(f"src/{plain}", f"src/{plain}")
