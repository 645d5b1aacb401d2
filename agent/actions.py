"""Tools become a grammar or tool declarations; replies become actions.

A small model writes one action as text, held to this form by a GBNF grammar:

    edit_symbol
    symbol: src/shapes.py::Circle.area
    ```python
    def area(self): ...
    ```

that is the tool's name, one `key: value` line per argument, and a fenced block for the argument
marked as body. A model that calls tools gets the same declarations as JSON schemas.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from policies.base import MALFORMED, Completion, Constraint
from tools.base import Tool

Choices = Mapping[str, Sequence[str]]
PYTHON = "python"

_FENCE = re.compile(r"^```[\w+-]*\n(.*?)^```\s*$", re.DOTALL | re.MULTILINE)


class FormatError(Exception):
    """A reply that is no action. The message quotes it and names the rule that it broke."""


@dataclass(frozen=True)
class Action:
    """One call of a tool, as the policy asked for it."""

    tool: str
    arguments: dict[str, Any]
    call_id: str = ""


def constraint(
    tools: Sequence[Tool[Any]],
    choices: Choices,
    *,
    calls_tools: bool,
    lines: int | None = None,
    language: str = PYTHON,
) -> Constraint:
    """What the policy may answer: one of these tools.

    `choices` fixes the values of arguments, `lines` is the most that a block of text may have,
    `language` what it is written in.
    """
    if calls_tools:
        return Constraint(tools=tuple(_declaration(tool, choices) for tool in tools))
    return Constraint(grammar=grammar(tools, choices, lines, language))


def grammar(
    tools: Sequence[Tool[Any]],
    choices: Choices,
    lines: int | None = None,
    language: str = PYTHON,
) -> str:
    """GBNF that admits exactly one well-formed action of one of the tools."""
    rules = {"root": " | ".join(_rule_name(tool.name) for tool in tools)}
    for tool in tools:
        parts = [literal(tool.name + "\n")]
        for field, body in _fields(tool):
            if body:
                parts.append("block")
            elif field in choices:
                options = " | ".join(literal(value) for value in choices[field])
                parts += [literal(f"{field}: "), f"({options})", r'"\n"']
            else:
                parts += [literal(f"{field}: "), "words", r'"\n"']
        rules[_rule_name(tool.name)] = " ".join(parts)
    rules["words"] = r"[^\n`] [^\n]{0,240}"
    many = f"{{1,{lines}}}" if lines else "+"
    rules["block"] = rf'"```{language}\n" line{many} "```"'
    rules["line"] = r'"\n" | [^`\n] [^\n]* "\n"'
    return "\n".join(f"{name} ::= {body}" for name, body in rules.items())


def form(tool: Tool[Any], language: str = PYTHON) -> str:
    """The text form of a tool, to be shown to a model."""
    lines = [tool.name]
    for field, body in _fields(tool):
        lines += [f"```{language}", f"<{field}>", "```"] if body else [f"{field}: <{field}>"]
    return "\n".join(lines)


def parse(completion: Completion, tools: Sequence[Tool[Any]]) -> list[Action]:
    """The actions of a reply. Raises FormatError."""
    if completion.tool_calls:
        known = {tool.name for tool in tools}
        for call in completion.tool_calls:
            if call.name not in known:
                raise FormatError(
                    f"there is no tool {call.name!r} here; use one of: {', '.join(sorted(known))}"
                )
            if MALFORMED in call.arguments:
                raise FormatError(
                    f"{call.name}: the arguments are no JSON object: "
                    f"{str(call.arguments[MALFORMED])[:80]!r}"
                )
        return [Action(c.name, c.arguments, c.id) for c in completion.tool_calls]
    if completion.finish_reason == "length":
        raise FormatError(
            f"the reply was cut off after {completion.usage.completion} tokens; be shorter"
        )
    return [parse_text(completion.text, tools)]


def parse_text(text: str, tools: Sequence[Tool[Any]]) -> Action:
    """The action of a text reply. Raises FormatError."""
    head, _, rest = text.strip().partition("\n")
    tool = next((tool for tool in tools if tool.name == head.strip()), None)
    if tool is None:
        names = ", ".join(tool.name for tool in tools)
        raise FormatError(f"the first line must be one of: {names}; it was {head[:80]!r}")
    arguments: dict[str, Any] = {}
    for field, body in _fields(tool):
        if body:
            block = _FENCE.search(rest + "\n")
            if block is None:
                raise FormatError(f"{tool.name}: {field} must stand in a ``` block")
            arguments[field] = block.group(1)
        else:
            line, _, rest = rest.partition("\n")
            key, colon, value = line.partition(":")
            if key.strip() != field or not colon:
                raise FormatError(f"{tool.name}: expected a line '{field}: …', got {line[:80]!r}")
            arguments[field] = value.strip()
    return Action(tool.name, arguments)


def _fields(tool: Tool[Any]) -> list[tuple[str, bool]]:
    fields = []
    for name, field in tool.arguments.model_fields.items():
        extra = field.json_schema_extra
        fields.append((name, isinstance(extra, dict) and bool(extra.get("body"))))
    return sorted(fields, key=lambda item: item[1])


def _declaration(tool: Tool[Any], choices: Choices) -> dict[str, Any]:
    schema = tool.schema()
    for field, values in choices.items():
        properties = schema["function"]["parameters"].get("properties", {})
        if field in properties:
            properties[field] = {**properties[field], "enum": list(values)}
    return schema


def _rule_name(tool: str) -> str:
    return "tool-" + tool.replace("_", "-")


def literal(text: str) -> str:
    """A GBNF literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    for character, name in (("\n", "n"), ("\r", "r"), ("\t", "t")):
        escaped = escaped.replace(character, f"\\{name}")
    return f'"{escaped}"'
