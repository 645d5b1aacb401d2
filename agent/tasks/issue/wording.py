"""Words of an issue: the sentence on a claim, and values as text."""

from __future__ import annotations

import ast
import re

from agent.tasks.issue.claims import Claim, is_builtin
from agent.tasks.issue.syntax import last_name, parsed

MAX_VALUE = 200
EQUAL = frozenset({"==", "is", "about"})

_NOISE: tuple[tuple[str, str], ...] = (
    (r" (?:object )?at 0x[0-9a-fA-F]+", ""),
    (r"\b0x[0-9a-fA-F]{6,}", "0x…"),
    (r"\.{3,}[0-9a-f]{6,}>", "…>"),
    (r"(?:/private)?(/var/folders|/tmp)/[^\s'\"`,;:)\]>]+", r"\1/…"),
    (r"(?<![\w.])/workspace/", ""),
    (r"(?<![\w.])/[^\s'\"]*/(?:site-packages|dist-packages|lib/python3\.\d+)/", ""),
    (r" \([^\s()]+\.py(?:, line \d+)?\)", ""),
    (r"\b\d+\.\d{2,} ?(s|ms|µs|us|ns|seconds?)\b", r"… \1"),
)
_WORDS = {"<": "less than", ">": "greater than", "<=": "at most", ">=": "at least"}
_PAIRS = (("(", ")"), ("[", "]"), ("{", "}"))


def normalised(text: str) -> str:
    """The text without what differs from run to run: addresses, folders, durations."""
    for pattern, replacement in _NOISE:
        text = re.sub(pattern, replacement, text)
    return text


def sentence(claim: Claim, got: str, want: str, verb: str) -> str:
    """What is seen and what is expected, to follow the expression; empty when neither is known."""
    found = f"{verb} {got}, but " if got else ""
    op = claim.op
    if op == "true":
        wanted = "`True`" if claim.left_value == "False" else "a true value"
        return f"{found}{wanted} is expected." if found else "should hold, but does not."
    if op == "false":
        wanted = "`False`" if claim.left_value == "True" else "a false value"
        return f"{found}{wanted} is expected." if found else "should not hold, but does."
    if op in EQUAL and not (found and want) and claim.detail:
        return f"is not what is expected: {claim.detail}."
    if not want:
        return f"{verb} {got}, which is not what is expected." if got else ""
    if op in EQUAL:
        wanted = f"about {want}" if op == "about" else want
        return f"{found}{wanted} is expected." if found else f"should equal {wanted}, but does not."
    if op in {"in", "not in"}:
        return _membership(claim, got, want, verb)
    if op in _WORDS:
        wanted = f"{_WORDS[op]} {want}"
        return f"{found}a value {wanted} is expected." if found else f"should be {wanted}."
    return f"equals {want}, but should differ from it."


def _membership(claim: Claim, got: str, want: str, verb: str) -> str:
    """On a container, or, where the sides are as the test has them, on the member."""
    absent = claim.op == "in"
    if not claim.swapped:
        found = f"{verb} {got}, but " if got else ""
        return f"{found}a value {'' if absent else 'not '}in {want} is expected."
    if got:
        return f"{verb} {got}, which {'does not contain' if absent else 'contains'} {want}."
    return f"should {'' if absent else 'not '}contain {want}."


def verb_of(text: str) -> str:
    """How an expression gives its value: a call returns it."""
    node = parsed(text)
    name = last_name(node.func) if isinstance(node, ast.Call) else ""
    return "returns" if name and not is_builtin(name) and not name[0].isupper() else "is"


def kinds(node: ast.expr) -> str:
    """The exceptions of an `except` or of `raises`, in words."""
    given = node.elts if isinstance(node, ast.Tuple) else [node]
    return " or ".join(code(ast.unparse(kind)) for kind in given)


def value(text: str) -> str:
    """A value as code; empty when it is unknown, cut, shortened, or too long to read."""
    if not text or "..." in text or re.search(r"\[\d+ chars\]", text) or len(text) > MAX_VALUE:
        return ""
    if text[0] in "'\"" and parsed(text) is None:
        return ""
    if any(text[0] == left and text.count(left) != text.count(right) for left, right in _PAIRS):
        return "" if parsed(text) is None else code(text)
    return code(text)


def cut(text: str) -> str:
    """The text, its end left out when it is long."""
    return text if len(text) <= MAX_VALUE else f"{text[: MAX_VALUE - 1]}…"


def code(text: str) -> str:
    """The text as code in Markdown, whatever it holds."""
    text = " ".join(text.splitlines())
    return f"`` {text} ``" if "`" in text else f"`{text}`"
