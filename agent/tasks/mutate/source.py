"""A parsed source and the byte spans of its nodes."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cache

import libcst as cst
from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper

from agent.tasks.mutate.model import Edit

Span = tuple[int, int]
_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\r|\n")
# What holds no code of its own, or code that no mutation may touch.
_NOT_VISITED = frozenset(
    (
        "annotation",
        "asname",
        "attr",
        "colon",
        "comma",
        "decorators",
        "dot",
        "equal",
        "first_colon",
        "footer",
        "format_spec",
        "header",
        "keyword",
        "lbrace",
        "lbracket",
        "leading_lines",
        "lines_after_decorators",
        "lines_after_else",
        "lpar",
        "name",
        "operator",
        "pattern",
        "rbrace",
        "rbracket",
        "returns",
        "rpar",
        "second_colon",
        "semicolon",
        "star",
        "trailing_whitespace",
        "type_parameters",
    )
)
_DEFINITIONS = (cst.FunctionDef, cst.ClassDef)


class Source:
    """A UTF-8 source, its syntax tree, and where each node is.

    Offsets are those of `data`, which has no byte order mark; `shift` is that mark's length.
    Raises ValueError for another encoding and cst.ParserSyntaxError for what does not parse.
    """

    def __init__(self, data: bytes) -> None:
        self.shift = len(_BOM) if data.startswith(_BOM) else 0
        self.data = data[self.shift :]
        self.module = cst.parse_module(self.data)
        if self.module.encoding.lower().replace("_", "-") not in ("utf-8", "utf8"):
            raise ValueError(f"not UTF-8: {self.module.encoding}")
        if self.module.bytes != self.data:
            raise ValueError("the source does not survive being parsed")
        wrapper = MetadataWrapper(self.module, unsafe_skip_copy=True)
        self._spans = wrapper.resolve(ByteSpanPositionProvider)
        self._lines = [0, *(match.end() for match in _LINE_END.finditer(self.data))]
        self.within_strings = frozenset(
            line
            for node in self._spans
            if isinstance(node, (cst.SimpleString, cst.FormattedString))
            for line in self.starts_between((self.span(node)[0] + 1, self.span(node)[1]))
        )

    def span(self, node: cst.CSTNode) -> Span:
        """The node without its own parentheses, from its first decorator on."""
        place = self._spans[node]
        start = place.start
        if isinstance(node, _DEFINITIONS) and node.decorators:
            start = self._spans[node.decorators[0]].start
        return start, place.start + place.length

    def outer(self, node: cst.BaseExpression) -> Span:
        """The expression with its own parentheses."""
        if not node.lpar:
            return self.span(node)
        return self.span(node.lpar[0])[0], self.span(node.rpar[-1])[1]

    def slice(self, span: Span) -> str:
        """The text of a span."""
        return self.data[span[0] : span[1]].decode()

    def text(self, node: cst.BaseExpression) -> str:
        """The text of an expression with its own parentheses."""
        return self.slice(self.outer(node))

    def line(self, offset: int) -> int:
        """The 1-based line of an offset."""
        return bisect_right(self._lines, offset)

    def line_start(self, offset: int) -> int:
        """Where the line of an offset begins."""
        return self._lines[self.line(offset) - 1]

    def line_end(self, offset: int) -> int:
        """Where the line after that of an offset begins, or the end of the source."""
        line = self.line(offset)
        return self._lines[line] if line < len(self._lines) else len(self.data)

    def lines(self, span: Span) -> Span:
        """The whole lines that a span touches, their last line break included."""
        return self.line_start(span[0]), self.line_end(span[1])

    def starts_between(self, span: Span) -> Sequence[int]:
        """Where the lines begin that begin within a span."""
        return self._lines[
            bisect_right(self._lines, span[0] - 1) : bisect_right(self._lines, span[1] - 1)
        ]

    def block_lines(self, block: cst.IndentedBlock) -> Span:
        """The whole lines of a block, from its first statement to its last."""
        return self.line_start(self.span(block.body[0])[0]), self.line_end(self.span(block)[1])

    def replace(self, span: Span, text: str) -> Edit:
        """An edit that keeps words apart: `not(x)` with `(x)` replaced by `y` is `not y`."""
        start, end = span
        if _is_word(text[:1]) and _is_word(self.slice((start - 1, start)) if start else ""):
            text = f" {text}"
        if _is_word(text[-1:]) and _is_word(chr(self.data[end]) if end < len(self.data) else ""):
            text = f"{text} "
        return Edit(start, end, text)


def children(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """The children that hold code: no white space, comments, parentheses, annotations, patterns."""
    for name in _fields(type(node)):
        value = getattr(node, name)
        if isinstance(value, cst.CSTNode):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from (item for item in value if isinstance(item, cst.CSTNode))


@cache
def _fields(kind: type[cst.CSTNode]) -> tuple[str, ...]:
    return tuple(
        name
        for name in kind.__dataclass_fields__
        if name not in _NOT_VISITED and "whitespace" not in name
    )


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"
