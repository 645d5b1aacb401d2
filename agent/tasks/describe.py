"""Issue texts from the behaviour of failing tests: what a user sees, never how to fix it."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.tasks.claims import Claim, claim_of, explanation, is_builtin
from agent.tasks.scene import Scene, Shown, last_name, read_scene
from policies.base import ContextOverflow, Message, Policy, Sampling
from tools.testing.results import Failure, Frame

MAX_CHARACTERS, MAX_BEHAVIOURS, MAX_VALUE = 1500, 3, 200
LEAK_CHARACTERS = 8
NOTHING = "The behaviour is not what its callers expect."

_NOISE: tuple[tuple[str, str], ...] = (
    (r" (?:object )?at 0x[0-9a-fA-F]+", ""),
    (r"\b0x[0-9a-fA-F]{6,}", "0x…"),
    (r"(?:/private)?(/var/folders|/tmp)/[^\s'\"`,;:)\]>]+", r"\1/…"),
    (r"(?<![\w.])/workspace/", ""),
    (r"(?<![\w.])/[^\s'\"]*/(?:site-packages|dist-packages|lib/python3\.\d+)/", ""),
    (r" \([^\s()]+\.py(?:, line \d+)?\)", ""),
    (r"\b\d+\.\d{2,} ?(s|ms|µs|us|ns|seconds?)\b", r"… \1"),
)
_WORDS = {"<": "less than", ">": "greater than", "<=": "at most", ">=": "at least"}
_MIRROR = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
_EQUAL = frozenset({"==", "is", "about"})


@dataclass(frozen=True)
class Behaviour:
    """One thing that goes wrong. A lower rank tells more; `subject` is what it is about."""

    rank: int
    text: str
    subject: str = ""


def problem_statement(
    failures: Mapping[str, Failure], sources: Mapping[str, bytes], patch: str
) -> str:
    """The issue: up to three different behaviours, 1500 characters, the same for the same input.

    `sources` are the files that hold the tests, `patch` the known fix, of which no line is said.
    """
    seen = [_behaviour(test, failure, sources) for test, failure in sorted(failures.items())]
    seen = [behaviour for behaviour in seen if not leaks(behaviour.text, patch)]
    seen.sort(key=lambda b: (b.rank, len(b.text), b.text))
    chosen: dict[str, str] = {}
    for behaviour in seen:
        size = sum(len(text) + 2 for text in chosen.values()) + len(behaviour.text)
        if len(chosen) < MAX_BEHAVIOURS and size <= MAX_CHARACTERS:
            chosen.setdefault(behaviour.subject, behaviour.text)
    if chosen:
        return "\n\n".join(dict.fromkeys(chosen.values()))
    kinds = sorted({failure.exception for failure in failures.values()} - {""})
    plain = f"An unexpected `{kinds[0]}` is raised." if kinds else NOTHING
    return NOTHING if leaks(plain, patch) else plain


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
        answer = policy.sample([Message(role="user", content=prompt)], 1, Sampling())[0]
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


def normalised(text: str) -> str:
    """The text without what differs from run to run: addresses, folders, durations."""
    for pattern, replacement in _NOISE:
        text = re.sub(pattern, replacement, text)
    return text


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


def _behaviour(test: str, failure: Failure, sources: Mapping[str, bytes]) -> Behaviour:
    teller = _Teller(test, failure, sources)
    told = teller.tell()
    return Behaviour(told.rank, normalised(told.text), normalised(told.subject))


class _Teller:
    """Says what one failure shows."""

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

    def tell(self) -> Behaviour:
        """The most that can be said."""
        scene, message = self.scene, self.failure.message
        if scene is None:
            return self.plain()
        if message.startswith(("hung", "Failed: hung")):
            return self.about(self.call(scene), "never returns.", 1)
        if "DID NOT RAISE" in message or re.search(r"AssertionError: \S+ not raised", message):
            return self.not_raised(scene, ("raises", "assertRaises", "assertRaisesRegex"), "raise")
        if "DID NOT WARN" in message or re.search(r"AssertionError: \S+ not triggered", message):
            return self.not_raised(scene, ("warns", "assertWarns", "assertWarnsRegex"), "warn with")
        asserted = self.failure.exception in {"AssertionError", ""} and self.callee is None
        if asserted and (claim := claim_of(scene.statement, self.lines)) is not None:
            return self.compared(scene, claim)
        if asserted or self.failure.exception == "Failed":
            return self.plain()
        return self.raised(scene)

    def plain(self) -> Behaviour:
        """The message alone."""
        message = _cut(" ".join(self.failure.message.split())) or "error"
        if self.failure.exception and self.failure.exception != "Failed":
            return Behaviour(8, f"A call ends with {_code(message)}.", message)
        message = message.removeprefix("Failed: ").rstrip(".")
        return Behaviour(9, f"{message[:1].upper()}{message[1:]}.", message)

    def about(self, shown: Shown, said: str, rank: int) -> Behaviour:
        """A sentence on an expression, with what has to run before it."""
        text = f"{_code(shown.text)} {said}"
        if shown.setup:
            text = f"After\n\n```python\n{shown.setup}\n```\n\n{text}"
        penalty = 4 if shown.loose else bool(shown.setup)
        name = re.split(r"[(\[]", shown.text)[0].rpartition(".")[2]
        return Behaviour(rank + penalty, text, f"{name} {said.split()[0]}")

    def raised(self, scene: Scene) -> Behaviour:
        """An exception that nobody expects."""
        said = f"raises {_code(_cut(self.failure.message))}"
        awaited = scene.inside("raises", "assertRaises", "assertRaisesRegex")
        if awaited is not None and awaited.args:
            said += f", but {_kinds(awaited.args[0])} is expected"
        return self.about(self.call(scene), f"{said}.", 1)

    def not_raised(self, scene: Scene, names: Sequence[str], verb: str) -> Behaviour:
        """An exception or a warning that did not come."""
        statement = scene.statement
        kinds, shown = "", None
        if isinstance(statement, ast.With):
            for item in statement.items:
                call = item.context_expr
                if isinstance(call, ast.Call) and last_name(call.func) in names and call.args:
                    kinds = _kinds(call.args[0])
            inner = Scene(
                scene.module,
                statement.body[-1],
                (*scene.before, *statement.body[:-1]),
                scene.function,
                scene.classes,
                scene.parameters,
            )
            shown = self.call(inner)
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            given = statement.value
            if last_name(given.func) in names and len(given.args) > 1:
                kinds = _kinds(given.args[0])
                call = ast.Call(given.args[1], given.args[2:], given.keywords)
                shown = scene.show(call)
        if shown is None or not kinds:
            return self.plain()
        return self.about(shown, f"should {verb} {kinds} but does not.", 1)

    def call(self, scene: Scene) -> Shown:
        """What the statement was at when it failed: the call that led out of the test, if any."""
        statement = scene.statement
        if self.callee is not None:
            *owner, name = self.callee.function.split(".")
            wanted = owner[-1] if name == "__init__" and owner else name
            for node in ast.walk(statement):
                if isinstance(node, ast.Call) and last_name(node.func) == wanted:
                    return scene.show(node)
        main = _main(statement)
        if main is not None:
            return scene.show(main)
        return Shown(ast.unparse(statement).split("\n")[0])

    def compared(self, scene: Scene, claim: Claim) -> Behaviour:
        """A check of a value."""
        left, right = _acts(scene.filled(claim.left)), _acts(scene.filled(claim.right))
        literal = isinstance(claim.left, ast.Constant) and not isinstance(claim.right, ast.Constant)
        if not left and (right or literal):
            claim = claim.mirrored(_MIRROR.get(claim.op, claim.op))
        shown = scene.show(claim.left, claim.called)
        got = _value(claim.left_value)
        same_each_time = normalised(claim.right_value) == claim.right_value
        want = (same_each_time and _value(claim.right_value)) or _source(scene, claim.right)
        if got and want and normalised(claim.left_value) == normalised(claim.right_value):
            got = ""
        text = _sentence(claim, got, want, _verb(scene.filled(claim.left)))
        return self.about(shown, text, 0 if got else 2)


def _sentence(claim: Claim, got: str, want: str, verb: str) -> str:
    """What is seen and what is expected, to follow the expression."""
    found = f"{verb} {got}, but " if got else ""
    op = claim.op
    if op == "true":
        wanted = "`True`" if claim.left_value == "False" else "a true value"
        return f"{found}{wanted} is expected." if found else "should hold, but does not."
    if op == "false":
        wanted = "`False`" if claim.left_value == "True" else "a false value"
        return f"{found}{wanted} is expected." if found else "should not hold, but does."
    if op in _EQUAL:
        about = "about " if op == "about" else ""
        if found and want:
            return f"{found}{about}{want} is expected."
        if claim.detail:
            return f"is not what is expected: {claim.detail}."
        return f"should equal {about}{want}, but does not." if want else "has an unexpected value."
    if op in {"in", "not in"}:
        return _membership(claim, got, want, verb)
    if op in _WORDS:
        wanted = f"{_WORDS[op]} {want}"
        return f"{found}a value {wanted} is expected." if found else f"should be {wanted}."
    return f"{found}something else is expected." if found else f"should differ from {want}."


def _membership(claim: Claim, got: str, want: str, verb: str) -> str:
    """On a container, or, where the sides are as the test has them, on the member."""
    absent = claim.op == "in"
    if not claim.swapped:
        found = f"{verb} {got}, but " if got else ""
        return f"{found}a value {'' if absent else 'not '}in {want} is expected."
    if got:
        return f"{verb} {got}, which {'does not contain' if absent else 'contains'} {want}."
    return f"should {'' if absent else 'not '}contain {want}."


def _main(statement: ast.stmt) -> ast.expr | None:
    """The expression that a statement is about."""
    match statement:
        case ast.Assert(test=ast.Compare(left=left, comparators=[right])):
            return right if not _acts(left) and _acts(right) else left
        case ast.Assert(test=test):
            return test
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr=name), args=[first, *_])) if (
            name.startswith("assert")
        ):
            return first
        case ast.Expr(value=ast.expr() as value) | ast.Return(value=ast.expr() as value):
            return value
        case ast.Assign(value=value) | ast.AnnAssign(value=ast.expr() as value):
            return value
        case ast.With(items=[item, *_]):
            return item.context_expr
        case ast.For(iter=value) | ast.If(test=value) | ast.While(test=value):
            return value
    return None


def _acts(node: ast.expr) -> bool:
    """Whether an expression calls something other than what only holds or shows a value."""
    return any(
        isinstance(part, ast.Call) and not is_builtin(last_name(part.func))
        for part in ast.walk(node)
    )


def _verb(node: ast.expr) -> str:
    name = last_name(node.func) if isinstance(node, ast.Call) else ""
    return "returns" if name and not is_builtin(name) and not name[0].isupper() else "is"


def _kinds(node: ast.expr) -> str:
    kinds = node.elts if isinstance(node, ast.Tuple) else [node]
    return " or ".join(_code(ast.unparse(kind)) for kind in kinds)


def _source(scene: Scene, node: ast.expr) -> str:
    text = ast.unparse(scene.filled(node))
    return _code(text) if len(text) <= MAX_VALUE else ""


def _value(text: str) -> str:
    """A value as code; empty when it is unknown, shortened by pytest, or too long to read."""
    shortened = "..." in text or re.search(r"\[\d+ chars\]", text) or len(text) > MAX_VALUE
    return "" if shortened or not text else _code(text)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_VALUE else f"{text[: MAX_VALUE - 1]}…"


def _code(text: str) -> str:
    """The text as code in Markdown, whatever it holds."""
    text = " ".join(text.splitlines())
    return f"`` {text} ``" if "`" in text else f"`{text}`"
