"""Edits of source code that strangers and models have written."""

from __future__ import annotations

from hypothesis import strategies as st

from agent.ui.text import printable
from tests.fuzz.registry import target
from tools.base import ToolError
from tools.codemap import MODULE, Codemap, nearest, parse
from tools.match import replace_once
from tools.splice import check_syntax, splice

SUFFIXES = (".py", ".js", ".ts", ".go", ".rs", ".txt")
PIECES = st.sampled_from(
    [
        "def f(x):\n", "    return x\n", "\treturn x\n", "class A:\n", "    def g(self):\n",
        "        '''two\nlines'''\n", "        return 1\n", "@wrapped\n", "async def f():\n", "\n",
        "import os\n", "from __future__ import annotations\n", "#!/bin/sh\n", "if x:\n", "\r\n",
        "function f(x) { return x }\n", "export default class A { g() { return 1 } }\n",
        "const f = (x) => x;\n", "func f(x int) int { return x }\n", "package main\n",
        "func (a *A) g() {}\n", "impl A { fn g(&self) {} }\n", "#[test]\nfn f() {}\n", "}\n", "{\n",
        "```python\n", "```\n", "f = lambda x: x\n", "\ufeff", "print(f(1))\n", "def é():\n",
    ]
)  # fmt: skip
WRITABLE = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
SOURCE = st.lists(PIECES | WRITABLE, max_size=10).map("".join)
DEFINED = st.sampled_from(
    [
        ("a.py", "import os\n\n\n@wrapped\ndef f(x):\n    return x\n\n\nprint(f(1))\n"),
        ("a.py", "class A:\r\n    def g(self):\r\n        return 1\r\n\r\n    x = 2\r\n"),
        ("a.py", "class A:\n\tdef g(self):\n\t\t'''two\n\t\tlines'''\n\t\treturn 1\n"),
        ("a.js", "const x = 1;\nexport const f = (x) => {\n  return x;\n};\nf(1);\n"),
        ("a.ts", "export default class A {\n  g(): number {\n    return 1;\n  }\n}\n"),
        ("a.go", "package main\n\nfunc (a *A) g() {\n\treturn\n}\n\nvar x = 1\n"),
        ("a.rs", "impl A {\n    #[inline]\n    fn g(&self) {}\n}\n\nfn f() {}\n"),
    ]
)


@target(suffix=st.sampled_from(SUFFIXES), source=st.binary(max_size=200) | SOURCE.map(str.encode))
def code_is_mapped(suffix: str, source: bytes) -> None:
    """Symbols lie within the file, inside those that enclose them, under ids of their own."""
    path = f"src/a{suffix}"
    symbols = parse(path, source)
    lines = source.count(b"\n") + 1
    ids = [symbol.id for symbol in symbols]
    assert len(set(ids)) == len(ids)
    for symbol in symbols:
        assert 0 <= symbol.start_byte <= symbol.node_byte <= symbol.end_byte <= len(source)
        assert 1 <= symbol.start_line <= symbol.end_line <= lines
        symbol.text(source)
    codemap = Codemap.build([(path, source)])
    for line in range(-1, lines + 2):
        codemap.at(path, line)
    for symbol in codemap:
        codemap.callers(symbol)
        codemap.callees(symbol)
    nearest(codemap, f"{path}::f")


@target(file=DEFINED, index=st.integers(min_value=0, max_value=5), code=SOURCE)
def a_definition_is_replaced(file: tuple[str, str], index: int, code: str) -> None:
    """The new file parses and keeps what stands outside of the definition, or nothing is done."""
    path, text = file
    source = text.encode()
    symbols = [symbol for symbol in parse(path, source) if symbol.qualname != MODULE]
    symbol = symbols[index % len(symbols)]
    try:
        spliced = splice(source, symbol, code)
    except ToolError as error:
        printable(str(error)).encode()
        return
    assert spliced.source != source
    check_syntax(path, source, spliced.source)
    assert spliced.source.endswith(source[symbol.end_byte :])
    if "import" not in code and "package" not in code:
        assert spliced.source.startswith(source[: symbol.start_byte])
    assert any(found.name == symbol.name for found in parse(path, spliced.source))


@target(source=SOURCE.map(str.encode), index=st.integers(min_value=0, max_value=5), code=SOURCE)
def a_definition_of_any_file_is_replaced(source: bytes, index: int, code: str) -> None:
    """Whatever the file holds: bytes that it had outside of the definition are kept."""
    symbols = [symbol for symbol in parse("a.py", source) if symbol.qualname != MODULE]
    if not symbols:
        return
    symbol = symbols[index % len(symbols)]
    try:
        spliced = splice(source, symbol, code)
    except ToolError as error:
        printable(str(error)).encode()
        return
    assert spliced.source.endswith(source[symbol.end_byte :])


@target(text=SOURCE, old=SOURCE, new=SOURCE)
def a_text_is_replaced(text: str, old: str, new: str) -> None:
    """An exact match changes one place and no other; less than that is said or refused."""
    try:
        replaced = replace_once(text, old, new)
    except ToolError as error:
        printable(str(error)).encode()
        return
    assert old != new
    if replaced.how == "exact":
        assert text.count(old) == 1
        head, _, tail = text.partition(old)
        assert replaced.text == head + new + tail
