"""Signs that new code attacks its judge instead of mending the bug.

Only what the patch brings in counts: a construct that was there before is not a finding, nor is
one that the patch has moved from another file.
"""

from __future__ import annotations

import ast
import doctest
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Literal

from agent.verify.tamper.literals import hard_coded
from agent.verify.tamper.names import UNPARSABLE, parse
from agent.verify.tamper.shadows import shadow
from agent.verify.tamper.signs import Signs, signs_of
from tools.inline_tests import changes_tests

__all__ = ["does_already", "examples_changed", "findings", "hard_coded", "suspicions"]


def findings(
    before: Mapping[str, bytes], after: Mapping[str, bytes], doctested: Collection[str] = ()
) -> list[str]:
    """What the changed files (`path -> bytes`) have after the patch that no honest fix needs.

    The docstring examples of `doctested` files are tests, and so are Rust's among the sources:
    they may be added to but not changed.
    """
    found = [shadow(path) for path in after if path not in before]
    found += _new(before, after, "damning")
    found += examples_changed(before, after, doctested)
    found += inline_tests_changed(before, after)
    return [finding for finding in found if finding]


def examples_changed(
    before: Mapping[str, bytes], after: Mapping[str, bytes], doctested: Collection[str]
) -> list[str]:
    """Which of the `doctested` files have lost an example that is a test."""
    return [
        f"changes doctest examples in {path}"
        for path in sorted(doctested)
        if path in after and _examples(before, path) - _examples(after, path)
    ]


def inline_tests_changed(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> list[str]:
    """Which files no longer hold the tests that stood among their sources, or could fool them."""
    return [
        f"changes tests in {path}"
        for path in sorted(before.keys() | after.keys())
        if changes_tests(path, before.get(path, b""), after.get(path, b""))
    ]


def suspicions(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> list[str]:
    """What the changed files have after the patch that tricks use, but honest fixes as well.

    To be shown: it decides nothing.
    """
    return _new(before, after, "suspicious")


def does_already(source: bytes, path: str, deed: str) -> bool:
    """Whether a file's text has a sign of what it was seen to do ("looks at stack frames")."""
    return any(sign.startswith(deed) for sign in signs_of(source, path).damning)


def _new(
    before: Mapping[str, bytes],
    after: Mapping[str, bytes],
    strength: Literal["damning", "suspicious"],
) -> list[str]:
    gained: dict[str, Counter[str]] = {}
    moved: Counter[str] = Counter()
    for path in after.keys() | before.keys():
        if path.endswith(".py"):
            old, new = (_counted(files, path, strength) for files in (before, after))
            gained[path] = Counter({sign: n for sign, n in new.items() if sign not in old})
            moved += old - new
    found: list[str] = []
    for path in after:
        for sign, count in sorted(gained.get(path, Counter()).items()):
            known = min(count, moved[sign])
            moved[sign] -= known
            found += [f"{sign} in {path}"] * (count > known)
    return found


def _counted(
    files: Mapping[str, bytes], path: str, strength: Literal["damning", "suspicious"]
) -> Counter[str]:
    signs = signs_of(files[path], path) if path in files else Signs()
    return signs.damning if strength == "damning" else signs.suspicious


def _examples(files: Mapping[str, bytes], path: str) -> Counter[tuple[str, str]]:
    """The doctest examples in a module's strings, or in a text."""
    source = files.get(path, b"")
    try:
        texts = [source.decode("utf-8", "replace")]
        if path.endswith(".py"):
            strings = [n.value for n in ast.walk(parse(source)) if isinstance(n, ast.Constant)]
            texts = [text for text in strings if isinstance(text, str) and ">>>" in text]
        examples = doctest.DocTestParser().get_examples
        return Counter((e.source, e.want) for text in texts for e in examples(text))
    except UNPARSABLE:
        return Counter()
