"""Finding the place of a search text in a file, in layers from exact to nearly equal."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher

from tools.base import ToolError

MIN_RATIO = 0.9
MAX_LINES = 20_000


@dataclass(frozen=True)
class Replaced:
    """The new text of the file and the layer that found the place."""

    text: str
    how: str


def replace_once(text: str, old: str, new: str) -> Replaced:
    """Replace the one place that `old` names. Raises ToolError when there is none, or several.

    Layers: the exact text; the same lines but for white space at their ends and a uniform
    indentation; the most similar lines, if they are alike enough and no others are.
    """
    if not old.strip():
        raise ToolError("the old text is empty; give the lines to be replaced")
    if old == new:
        raise ToolError("the old and the new text are identical; nothing would change")
    places = _occurrences(text, old)
    if len(places) == 1:
        return Replaced(text.replace(old, new), "exact")
    lines = text.split("\n")
    wanted = _stripped(old)
    if places:
        raise _ambiguous([_line_of(text, at) for at in places])
    found = [i for i in range(len(lines) - len(wanted) + 1) if _same(lines, i, wanted)]
    if len(found) > 1:
        raise _ambiguous([i + 1 for i in found])
    if found:
        return _checked(text, lines, found[0], len(wanted), wanted, new, "ignoring white space")
    start, size, ratio = _most_similar(lines, wanted)
    if ratio < MIN_RATIO:
        raise ToolError(_nearest(lines, start, size, ratio))
    rest = [*lines[:start], *([""] * size), *lines[start + size :]]
    other, _, second = _most_similar(rest, wanted)
    if second >= MIN_RATIO:
        raise _ambiguous(sorted([start + 1, other + 1]))
    return _checked(text, lines, start, size, wanted, new, f"{ratio:.0%} alike")


def _occurrences(text: str, old: str) -> list[int]:
    """Where a text occurs; occurrences may overlap."""
    places, at = [], text.find(old)
    while at >= 0:
        places.append(at)
        at = text.find(old, at + 1)
    return places


def _line_of(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def _stripped(block: str) -> list[str]:
    lines = block.split("\n")
    while lines and not lines[0].strip():
        lines.pop(0)
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def _lead(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _same(lines: list[str], start: int, wanted: list[str]) -> bool:
    shifts: set[tuple[str, str]] = set()
    for have, want in zip(lines[start : start + len(wanted)], wanted, strict=True):
        if have.strip() != want.strip():
            return False
        if have.strip():
            shifts.add(_shift(_lead(have), _lead(want)))
    return len(shifts) <= 1


def _shift(have: str, want: str) -> tuple[str, str]:
    """What to take off and to put before a line to move it from `want` to `have`."""
    if have.endswith(want):
        return "", have[: len(have) - len(want)]
    if want.endswith(have):
        return want[: len(want) - len(have)], ""
    return want, have


def _checked(
    text: str, lines: list[str], start: int, size: int, wanted: list[str], new: str, how: str
) -> Replaced:
    off, on = _shift(_lead(lines[start]), _lead(wanted[0]))
    fresh = [on + line.removeprefix(off) if line.strip() else line for line in _stripped(new)]
    result = "\n".join([*lines[:start], *fresh, *lines[start + size :]])
    if result == text:
        raise ToolError("the new text is what the file has already; nothing would change")
    return Replaced(result, how)


def _most_similar(lines: list[str], wanted: list[str]) -> tuple[int, int, float]:
    """Start, number of lines and similarity of the window most like the wanted lines."""
    best = (0, min(len(wanted), len(lines)), 0.0)
    if len(lines) > MAX_LINES:
        return best
    bare = [line.strip() for line in lines]
    matcher = SequenceMatcher(None, "", "\n".join(line.strip() for line in wanted), False)
    for size in (len(wanted), len(wanted) - 1, len(wanted) + 1):
        for start in range(len(lines) - size + 1 if size > 0 else 0):
            if not bare[start] or not bare[start + size - 1]:
                continue
            matcher.set_seq1("\n".join(bare[start : start + size]))
            if matcher.real_quick_ratio() > best[2] and matcher.quick_ratio() > best[2]:
                ratio = matcher.ratio()
                if ratio > best[2]:
                    best = (start, size, ratio)
    return best


def _ambiguous(places: list[int]) -> ToolError:
    shown = ", ".join(map(str, places[:10]))
    return ToolError(
        f"the old text is at {len(places)} places (lines {shown}); "
        "add the lines around the one you mean"
    )


def _nearest(lines: list[str], start: int, size: int, ratio: float) -> str:
    if ratio < 0.3:
        return "the old text is not in the file; read the file and copy the lines from it"
    first, last = max(0, start - 1), min(len(lines), start + min(size, 20) + 1)
    shown = "\n".join(f"{i + 1}: {lines[i]}" for i in range(first, last))
    return (
        f"the old text is not in the file. The nearest lines ({ratio:.0%} alike) are:\n{shown}\n"
        "Copy the lines to be replaced exactly, without the numbers"
    )
