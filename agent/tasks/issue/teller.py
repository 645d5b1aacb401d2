"""What one failing test shows of a bug, as a user would see it."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from agent.tasks.issue.claims import (
    RAISES,
    WARNS,
    Claim,
    acts,
    called_in,
    claim_of,
    explanation,
    mismatch,
    subject,
)
from agent.tasks.issue.scene import Scene, Shown, read_scene
from agent.tasks.issue.syntax import last_name, literal, parsed
from agent.tasks.issue.wording import (
    EQUAL,
    MAX_VALUE,
    code,
    cut,
    kinds,
    normalised,
    sentence,
    value,
    verb_of,
)
from tools.testing.results import Failure, Frame

_MIRROR = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}


@dataclass(frozen=True)
class Behaviour:
    """One thing that goes wrong. A lower rank tells more; `subject` is what it is about."""

    rank: int
    text: str
    subject: str = ""


def tell(test: str, failure: Failure, sources: Mapping[str, bytes]) -> Behaviour | None:
    """What a failure shows; None when a reader without the test could not follow it."""
    told = _Teller(test, failure, sources).tell()
    if told is None:
        return None
    return Behaviour(told.rank, normalised(told.text), normalised(told.subject))


class _Teller:
    """Says what one failure shows. The last frames are those of the error that ended the test."""

    def __init__(self, test: str, failure: Failure, sources: Mapping[str, bytes]) -> None:
        self.failure = failure
        self.lines = explanation(failure)
        self.callee: Frame | None = None
        self.scene: Scene | None = None
        for number, frame in reversed(list(enumerate(failure.frames))):
            if frame.path in sources:
                self.scene = read_scene(sources[frame.path], frame.line, test)
                self.callee = next(iter(failure.frames[number + 1 :]), None)
                break

    def tell(self) -> Behaviour | None:
        """The most that can be said."""
        scene, message = self.scene, self.failure.message
        if scene is None:
            return None
        if message.startswith(("hung", "Failed: hung")):
            return self.about(self.call(scene), "never returns.", 1)
        if "DID NOT RAISE" in message or re.search(r"AssertionError: \S+ not raised", message):
            return self.awaited(scene, RAISES, "should raise {} but does not.")
        if "DID NOT WARN" in message or re.search(r"AssertionError: \S+ not triggered", message):
            return self.awaited(scene, WARNS, "should warn with {} but does not.")
        if (pair := mismatch(self.lines)) is not None:
            pattern, found = pair
            said = f"raises {{}}: {code(cut(found))}, but a message that matches {code(pattern)}"
            return self.awaited(scene, RAISES, f"{said} is expected.")
        if self.failure.exception in {"AssertionError", ""}:
            if self.callee is not None:
                return self.asserted_below(scene)
            claim = claim_of(scene.statement, self.lines)
            return self.compared(scene, claim) if claim is not None else None
        return None if self.failure.exception == "Failed" else self.raised(scene)

    def about(self, shown: Shown, said: str, rank: int) -> Behaviour | None:
        """A sentence on an expression, with what has to run before it."""
        if shown.loose or not said or literal(parsed(shown.text) or ast.Name("")) is not None:
            return None
        rounds = f"{shown.rounds[:1].upper()}{shown.rounds[1:]}, " if shown.rounds else ""
        text = f"{rounds}{code(shown.text)} {said}"
        if shown.setup:
            text = f"After\n\n```python\n{shown.setup}\n```\n\n{text}"
        name = re.split(r"[(\[]", shown.text)[0].rpartition(".")[2]
        penalty = bool(shown.setup) + 2 * bool(shown.rounds)
        return Behaviour(rank + penalty, text, f"{name} {said.split()[0]}")

    def asserted_below(self, scene: Scene) -> Behaviour | None:
        """An assertion that failed outside the test: of the product, or of a helper."""
        message = self.first_line()
        if isinstance(scene.statement, ast.With):
            return None
        if message.partition(":")[2].strip().startswith("assert ") or ":" not in message:
            return None
        return self.about(self.call(scene), f"raises {code(cut(message))}.", 7)

    def raised(self, scene: Scene) -> Behaviour | None:
        """An exception that nobody expects."""
        said = f"raises {code(cut(self.first_line()))}"
        awaited = scene.inside(*RAISES)
        if awaited is not None and awaited.args:
            said += f", but {kinds(awaited.args[0])} is expected"
        return self.about(self.call(scene), f"{said}.", 1)

    def first_line(self) -> str:
        """The first line of the message, which itself is in one line."""
        message = " ".join(self.failure.message.split())
        first = " ".join(self.lines[0].split())
        return first if first and message.startswith(first) else message

    def awaited(self, scene: Scene, names: Sequence[str], said: str) -> Behaviour | None:
        """An exception or a warning that did not come, or not with its message."""
        statement = scene.statement
        if isinstance(statement, ast.With):
            for item in statement.items:
                call = item.context_expr
                if isinstance(call, ast.Call) and last_name(call.func) in names and call.args:
                    *first, last = statement.body
                    inner = replace(scene, statement=last, before=(*scene.before, *first))
                    kind = kinds(scene.filled(call.args[0]))
                    return self.about(self.call(inner), said.replace("{}", kind), 1)
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            given = statement.value
            called = called_in(given)
            if called is not None and last_name(given.func) in names:
                kind = kinds(scene.filled(given.args[0]))
                return self.about(scene.show(called), said.replace("{}", kind), 1)
        return None

    def call(self, scene: Scene) -> Shown:
        """What the statement was at when it failed: the call that led out of the test, if any."""
        statement = scene.statement
        if self.callee is not None:
            *owner, name = self.callee.function.split(".")
            wanted = owner[-1] if name == "__init__" and owner else name
            for node in ast.walk(statement):
                if isinstance(node, ast.Call) and last_name(node.func) == wanted:
                    return scene.show(node)
        main = subject(statement)
        if main is not None:
            return scene.show(main)
        return Shown(ast.unparse(statement).split("\n")[0])

    def compared(self, scene: Scene, claim: Claim) -> Behaviour | None:
        """A check of a value."""
        left, right = scene.filled(claim.left), scene.filled(claim.right)
        turned = not acts(left) and (acts(right) or (literal(left) and not literal(right)))
        if turned:
            claim = claim.mirrored(_MIRROR.get(claim.op, claim.op))
        fitting = [found for found in scene.in_rounds() if _fits(found, claim)]
        scene = fitting[0] if len(fitting) == 1 else scene
        shown = scene.show(claim.left, claim.called)
        got, want = value(claim.left_value), _expected(scene, claim)
        if claim.left_value and normalised(claim.left_value) == normalised(claim.right_value):
            got = ""
            want = _source(scene, claim.right) or ("" if claim.op in EQUAL else want)
        if code(shown.text) in {got, want}:
            return None
        return self.about(shown, sentence(claim, got, want, verb_of(shown.text)), 0 if got else 2)


def _expected(scene: Scene, claim: Claim) -> str:
    """The other side: its value, or, where that differs from run to run, its source."""
    same_each_time = normalised(claim.right_value) == claim.right_value
    return (same_each_time and value(claim.right_value)) or _source(scene, claim.right)


def _source(scene: Scene, node: ast.expr) -> str:
    text = ast.unparse(scene.filled(node))
    return code(text) if len(text) <= MAX_VALUE and scene.known(node) else ""


def _fits(scene: Scene, claim: Claim) -> bool:
    """Whether the round of a loop agrees with the values that the failure shows."""
    pairs = [(claim.left, parsed(claim.left_value)), (claim.right, parsed(claim.right_value))]
    if claim.called is not None and isinstance(claim.left, ast.Call):
        pairs += zip(claim.left.args, claim.called.args, strict=True)
    for node, found in pairs:
        own = literal(scene.filled(node))
        shown = literal(found) if found is not None else None
        if own is not None and shown is not None and own != shown:
            return False
    return True
