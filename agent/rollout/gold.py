"""Gold fixes in the harness's own words: what a policy should have answered to its prompts.

A task from `agent tasks make` knows its fix. Trained on before reinforcement learning, it shows a
model the form of an answer and what a fix is like; what comes of it is reported apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from agent.actions import form, parse_text
from agent.context.prompts import render
from agent.holes import MAX_CHARACTERS, Hole, admits, holes, question
from agent.status import UsageError
from agent.task import Place
from agent.tasks.instance import Instance
from agent.tasks.tree import sides
from agent.thoughts import PLAN
from policies.base import Message
from tools.codemap import MODULE, Symbol, parse
from tools.edit import EDIT_SYMBOL
from tools.languages import name_of
from tools.repairs.edit import Edit

_CAUSE_CHARACTERS = 160


@dataclass(frozen=True)
class GoldFill:
    """The hole that a fix fills, and what with: lines without their margin."""

    hole: Hole
    written: str


@dataclass(frozen=True)
class GoldEdit:
    """The symbol that a fix rewrites, its new definition, and the cause in one line."""

    symbol: str
    code: str
    cause: str


def gold_edit(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> GoldEdit:
    """The one edit by symbol that turns the files of a task into the fixed ones.

    Raises UsageError when the fix is not a change of one definition.
    """
    path = _changed(before, after)
    old, new = before[path], after[path]
    then, now = (_definitions(path, source) for source in (old, new))
    fixes = [
        symbol
        for name, symbol in now.items()
        if name in then and _splices(old, new, then[name], symbol)
    ]
    if not fixes:
        raise UsageError(f"the fix of {path} is not a change of one definition")
    symbol = min(fixes, key=lambda found: found.end_byte - found.start_byte)
    was, is_now = then[symbol.id].text(old), symbol.text(new)
    return GoldEdit(symbol.id, is_now, _cause(was, is_now))


def gold_fill(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> GoldFill:
    """The one hole that, filled, turns the files of a task into the fixed ones.

    Raises UsageError when the fix is not another line, or a few more lines, in one definition that
    is short enough to be shown.
    """
    path = _changed(before, after)
    old, new = before[path], after[path]
    found = (symbol for symbol in parse(path, old) if symbol.is_code)
    for symbol in sorted(found, key=lambda found: found.end_byte - found.start_byte):
        text = symbol.text(old)
        if len(text) > MAX_CHARACTERS:
            break
        for hole in holes(symbol, text):
            written = _own(hole, _between(hole.edit(old, ""), old, new))
            if admits(hole, written) and hole.edit(old, written).applied(old) == new:
                return GoldFill(hole, written)
    raise UsageError(f"the fix of {path} fills no hole of one definition")


def place_of(instance: Instance) -> Place | None:
    """The hole that the known fix fills; None when it fills no single one.

    Raises UsageError and EnvironmentFailure when the task cannot be made.
    """
    before, after = sides(instance)
    try:
        return gold_fill(before, after).hole.place
    except UsageError:
        return None


def _between(edit: Edit, old: bytes, new: bytes) -> str:
    """What stands in the new file where the edit changes the old one; empty when more differs."""
    start, end = edit.start, len(new) - (len(old) - edit.end)
    if end <= start or new[:start] != old[:start] or new[end:] != old[edit.end :]:
        return ""
    return new[start:end].decode("utf-8", "replace").replace("\r", "")


def _own(hole: Hole, text: str) -> str:
    """What a policy writes of a text: without the margin of its lines, or an end behind them."""
    lines = (text.strip("\n") if hole.gap else text).split("\n")
    return "\n".join(line.removeprefix(hole.margin) for line in lines)


def fill_conversation(prompt: Sequence[Message], fill: GoldFill) -> list[dict[str, str]]:
    """A row for `agent train sft --gold`: prompt, question, line.

    `prompt` are the messages of an attempt by infilling that all its holes share.
    """
    answer = f"{fill.hole.fence}{fill.written}\n```"
    messages = [
        *prompt,
        Message(role="user", content=question(fill.hole)),
        Message(role="assistant", content=answer),
    ]
    return [{"role": message.role, "content": message.content} for message in messages]


def plan_answer(edit: GoldEdit) -> str:
    """What to answer when asked for the cause."""
    return f"{PLAN.name}\ncause: {edit.cause}\nsymbol: {edit.symbol}\n"


def edit_answer(edit: GoldEdit) -> str:
    """What to answer when asked for the corrected definition."""
    code = f"```{_language(edit)}\n{edit.code.rstrip()}\n```"
    return f"{EDIT_SYMBOL.name}\nsymbol: {edit.symbol}\n{code}"


def _language(edit: GoldEdit) -> str:
    return name_of(edit.symbol.split("::", 1)[0])


def gold_conversation(prompt: Sequence[Message], edit: GoldEdit) -> list[dict[str, str]]:
    """A row for `agent train sft --gold`: prompt, plan, edit, as an attempt goes.

    `prompt` are the messages of an attempt up to the one that asks for the plan. Raises UsageError
    when an answer could not be said in the harness's form.
    """
    for text, tool in ((plan_answer(edit), PLAN), (edit_answer(edit), EDIT_SYMBOL)):
        said = parse_text(text, [tool])
        if said.arguments["symbol"] != edit.symbol or "\n```" in edit.code:
            raise UsageError(f"the fix of {edit.symbol} cannot be said as {tool.name}")
    shown = form(EDIT_SYMBOL, _language(edit))
    ask = render("edit", symbol=edit.symbol, form=shown, calls_tools=False)
    messages = [
        *prompt,
        Message(role="assistant", content=plan_answer(edit)),
        Message(role="user", content=ask),
        Message(role="assistant", content=edit_answer(edit)),
    ]
    return [{"role": message.role, "content": message.content} for message in messages]


def _changed(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> str:
    """The one file that a fix changes. Raises UsageError when it does something else."""
    changed = [path for path in after if before.get(path) != after[path]]
    if len(changed) != 1 or changed[0] not in before or len(before) != len(after):
        raise UsageError(f"the fix changes {len(changed)} files, not one")
    return changed[0]


def _definitions(path: str, source: bytes) -> dict[str, Symbol]:
    return {s.id: s for s in parse(path, source) if s.qualname != MODULE}


def _splices(old: bytes, new: bytes, was: Symbol, now: Symbol) -> bool:
    """Whether putting the new definition where the old one stood gives the new file."""
    spliced = old[: was.start_byte] + new[now.start_byte : now.end_byte] + old[was.end_byte :]
    return spliced == new


def _cause(was: str, now: str) -> str:
    """The first difference of two definitions, in one line."""
    old, new = ([line.strip() for line in text.splitlines()] for text in (was, now))
    for tag, start, end, place, stop in SequenceMatcher(None, old, new).get_opcodes():
        if tag == "equal":
            continue
        wrong, right = " ".join(old[start:end]), " ".join(new[place:stop])
        if not right:
            text = f"'{wrong}' does not belong there"
        elif not wrong:
            text = f"'{right}' is missing"
        else:
            text = f"'{wrong}' should be '{right}'"
        return text.replace("`", "'")[:_CAUSE_CHARACTERS].strip()
    return "the definition is wrong"
