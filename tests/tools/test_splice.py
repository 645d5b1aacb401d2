from __future__ import annotations

import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.base import ToolError
from tools.codemap import MODULE, Symbol, parse
from tools.splice import splice

SOURCE = textwrap.dedent(
    '''\
    """Docs."""
    import os

    X = 1


    def plain(a, b):
        """Say.

        More.
        """
        return a - b  # wrong


    class Box:
        size = 2

        @property
        def area(self) -> int:
            return self.size

        @area.setter
        def area(self, value):
            self.size = value

        @staticmethod
        async def load(path):
            sql = """
    select 1
            """
            return sql

        class Inner:
            def deep(self):
                return 1

    if X:
        def either(): return 1
    else:
        def either(): return 2
    '''
).encode()


def symbol(source: bytes, qualname: str, path: str = "a.py") -> Symbol:
    return next(s for s in parse(path, source) if s.qualname == qualname)


def spliced(qualname: str, code: str, source: bytes = SOURCE, path: str = "a.py") -> str:
    return splice(source, symbol(source, qualname, path), code).source.decode()


def refused(qualname: str, code: str, source: bytes = SOURCE, path: str = "a.py") -> str:
    with pytest.raises(ToolError) as caught:
        splice(source, symbol(source, qualname, path), code)
    return str(caught.value)


def test_symbols_of_python() -> None:
    assert [(s.qualname, s.kind, s.start_line) for s in parse("a.py", SOURCE)] == [
        (MODULE, "module", 1),
        ("plain", "function", 7),
        ("Box", "class", 15),
        ("Box.area", "method", 18),
        ("Box.area#2", "method", 22),
        ("Box.load", "method", 26),
        ("Box.Inner", "class", 33),
        ("Box.Inner.deep", "method", 34),
        ("either", "function", 38),
        ("either#2", "function", 40),
    ]


def test_function_at_column_zero() -> None:
    result = spliced("plain", "def plain(a, b):\n    return a + b\n")
    assert "X = 1\n\n\ndef plain(a, b):\n    return a + b\n\n\nclass Box" in result


@pytest.mark.parametrize(
    "code",
    [
        "def deep(self):\n    return 2",
        "        def deep(self):\n            return 2",
        "def deep(self):\n            return 2",
        "```python\ndef deep(self):\n    return 2\n```",
        "\n\n  def deep(self):\n      return 2\n\n",
        "class Inner:\n    def deep(self):\n        return 2\n",
    ],
)
def test_every_indentation(code: str) -> None:
    expected = SOURCE.replace(b"return 1\n\nif", b"return 2\n\nif").decode()
    assert spliced("Box.Inner.deep", code) == expected


def test_old_decorators_stay() -> None:
    result = spliced("Box.area", "def area(self) -> int:\n    return self.size * 2")
    assert "    @property\n    def area(self) -> int:\n        return self.size * 2\n" in result


def test_new_decorators_replace() -> None:
    result = spliced("Box.area", "@cached\n@property\ndef area(self):\n    return 1")
    assert (
        "    @cached\n    @property\n    def area(self):\n        return 1\n\n    @area" in result
    )
    assert result.count("@property") == 1


def test_setter_alone() -> None:
    result = spliced("Box.area#2", "@area.setter\ndef area(self, value):\n    self.size = 0")
    assert "    @property\n    def area(self) -> int:\n        return self.size\n" in result
    assert "self.size = 0" in result


def test_getter_and_setter_at_once_is_refused() -> None:
    code = "@property\ndef area(self): return 1\n@area.setter\ndef area(self, v): pass"
    assert "2 times" in refused("Box.area", code)


def test_async_and_strings_keep_their_lines() -> None:
    code = (
        "@staticmethod\nasync def load(path):\n"
        '    """Load.\n\n    All.\n    """\n'
        '    sql = """\nselect 2\n            """\n    return sql'
    )
    result = spliced("Box.load", code)
    assert '        """Load.\n\n        All.\n        """\n' in result
    assert '        sql = """\nselect 2\n            """\n        return sql\n' in result


def test_second_of_two_branches() -> None:
    result = spliced("either#2", "def either():\n    return 3")
    assert result.endswith("else:\n    def either():\n        return 3\n")


def test_helpers_and_imports() -> None:
    code = (
        "import os\nfrom math import (\n    floor,\n)\nfrom __future__ import annotations\n\n"
        "def _half(x):\n    return floor(x / 2)\n\n"
        "def plain(a, b):\n    return _half(a)\n\nprint(plain(1, 2))\n"
    )
    done = splice(SOURCE, symbol(SOURCE, "plain"), code)
    result = done.source.decode()
    assert result.startswith(
        '"""Docs."""\nfrom __future__ import annotations\n'
        "import os\nfrom math import (\n    floor,\n)\n\nX = 1\n"
    )
    assert "def _half(x):\n    return floor(x / 2)\n\ndef plain(a, b):" in result
    assert done.notes == ("left out: print(plain(1, 2))",)
    assert "print" not in result


def test_import_without_other_imports() -> None:
    source = b"#!/usr/bin/env python\n# about f\ndef f():\n    return 1\n"
    result = spliced("f", "import re\ndef f():\n    return re\n", source)
    assert result == ("#!/usr/bin/env python\nimport re\n# about f\ndef f():\n    return re\n")


def test_crlf_and_tabs() -> None:
    source = b"class A:\r\n\tdef f(self):\r\n\t\treturn 1\r\n\r\n\tdef g(self): pass\r\n"
    result = spliced("A.f", "def f(self):\n    if 1:\n        return 2", source)
    assert result == (
        "class A:\r\n\tdef f(self):\r\n\t\tif 1:\r\n\t\t\treturn 2\r\n\r\n\tdef g(self): pass\r\n"
    )


def test_mixed_newlines_and_byte_order_mark() -> None:
    source = b"\xef\xbb\xbfdef f():\n    return 1\n\r\ndef g():\r\n    return 1\r\n"
    done = splice(source, symbol(source, "f"), "import re\ndef f():\n    return re")
    assert done.source == (
        b"\xef\xbb\xbfimport re\ndef f():\n    return re\n\r\ndef g():\r\n    return 1\r\n"
    )
    done = splice(source, symbol(source, "g"), "def g():\n    return 2")
    assert done.source.endswith(b"def g():\r\n    return 2\r\n")


def test_no_newline_at_the_end_stays() -> None:
    assert spliced("f", "def f(): return 2\n", b"def f(): return 1") == "def f(): return 2"


def test_refusals() -> None:
    assert "identical" in refused("plain", symbol(SOURCE, "plain").text(SOURCE))
    assert "must define 'plain' but defines 'other'" in refused("plain", "def other(): pass")
    assert "must define 'plain' but defines nothing" in refused("plain", "x = 1")
    assert "def plain(a, b):" in refused("plain", "")
    broken = refused("plain", "def plain(a, b):\n    x = 1\n    return (a\n")
    assert "does not parse" in broken
    assert "line 3" in broken
    assert "'return' outside" in refused("plain", "def plain(a, b):\n    pass\nreturn 1")


def test_javascript() -> None:
    source = (
        b"export class A {\n  m(x) {\n    return x;\n  }\n}\n"
        b"export const f = (x) => {\n  return x;\n};\nexport default function g() {}\n"
    )
    assert [s.qualname for s in parse("a.js", source)] == [MODULE, "A", "A.m", "f", "g"]
    result = spliced("A.m", "m(x) {\n  return x + 1;\n}", source, "a.js")
    assert "  m(x) {\n    return x + 1;\n  }\n}\n" in result
    result = spliced("f", "const f = (x) => {\n  return 2;\n};", source, "a.js")
    assert "}\nexport const f = (x) => {\n  return 2;\n};\nexport default" in result
    result = spliced("f", "function f(x) { return 2; }", source, "a.js")
    assert "}\nexport function f(x) { return 2; }\nexport default" in result
    result = spliced("g", "import z from 'z';\nfunction g() { z(); }", source, "a.js")
    assert result.startswith("import z from 'z';\nexport class A")
    assert result.endswith("export default function g() { z(); }\n")
    assert "does not parse" in refused("g", "function g() { return ( }", source, "a.js")


def test_typescript_rust_and_go() -> None:
    source = b"class A {\n  private m(x: number): string {\n    return '';\n  }\n}\n"
    result = spliced("A.m", "private m(x: number): string {\n  return 'a';\n}", source, "a.ts")
    assert "    return 'a';\n  }\n}\n" in result
    source = b"impl T for S {\n    #[inline]\n    fn m(&self) -> u8 {\n        1\n    }\n}\n"
    result = spliced("S.m", "fn m(&self) -> u8 {\n    2\n}", source, "a.rs")
    assert result == source.replace(b" 1\n", b" 2\n").decode()
    source = b"package p\n\nfunc (t *T) M() int {\n\treturn 1\n}\n"
    code = 'import "fmt"\nfunc (t *T) M() int {\n\tfmt.Println()\n\treturn 2\n}'
    result = spliced("T.M", code, source, "a.go")
    assert result.startswith('package p\nimport "fmt"\n\nfunc (t *T) M() int {\n\tfmt.P')


NAMES = st.sampled_from(["f", "g", "A", "b"])
MARGIN = "    "


@st.composite
def sources(draw: st.DrawFn, depth: int = 0) -> str:
    """Nested classes and functions with decorators, docstrings and strings over lines."""
    blocks = []
    for _ in range(draw(st.integers(1, 3))):
        name = draw(NAMES)
        decorator = draw(st.sampled_from(["", "@dec\n", "@dec(\n    1\n)\n@other\n"]))
        if depth < 2 and draw(st.booleans()):
            body = textwrap.indent(draw(sources(depth + 1)), MARGIN)
            blocks.append(f"{decorator}class {name}:\n{body}")
        else:
            line = draw(
                st.sampled_from(
                    ["return 1", '"""Doc.\n\n    x\n    """', 'x = """\nq\n  r"""', "# é\n    pass"]
                )
            )
            blocks.append(f"{decorator}{draw(st.sampled_from(['', 'async ']))}def {name}(x):\n")
            blocks[-1] += f"    {line}\n"
    return draw(st.sampled_from(["\n", "\n\n", ""])).join(blocks)


@given(sources(), st.booleans(), st.integers(0, 30), st.booleans())
def test_a_definition_replaced_by_itself_changes_nothing(
    text: str, crlf: bool, pick: int, stripped: bool
) -> None:
    source = (text.replace("\n", "\r\n") if crlf else text).encode()
    symbols = [s for s in parse("a.py", source) if s.qualname != MODULE]
    chosen = symbols[pick % len(symbols)]
    code = chosen.text(source)
    if stripped:
        code = code.lstrip()
    with pytest.raises(ToolError) as caught:
        splice(source, chosen, code)
    assert "identical" in str(caught.value)


@given(sources(), st.integers(0, 30))
def test_an_edit_leaves_all_else_alone(text: str, pick: int) -> None:
    source = text.encode()
    symbols = [s for s in parse("a.py", source) if s.qualname != MODULE]
    chosen = symbols[pick % len(symbols)]
    if chosen.kind == "class":
        code = f"class {chosen.name}:\n    new = 1"
    else:
        code = f"def {chosen.name}(new):\n    return new"
    result = splice(source, chosen, code).source
    assert result.startswith(source[: chosen.node_byte])
    assert result.endswith(source[chosen.end_byte :])
    compile(result, "a.py", "exec")
