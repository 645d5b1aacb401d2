from __future__ import annotations

import subprocess
import sys

from tools.codemap import MAX_BYTES, MODULE, Codemap, nearest, parse

FILES = [
    (
        "a.py",
        b"from b import helper\n\nLIMIT = helper(1)\n\nclass Box:\n    def __init__(self, n):\n"
        b"        self.n = n\n\n    def size(self):\n        return helper(self.n)\n",
    ),
    ("b.py", b"def helper(x):\n    def inner():\n        return x\n    return inner()\n"),
    ("c.py", b"from a import Box\n\ndef main():\n    return Box(1).size()\n"),
    ("bad.py", b"def broken(:\n    pass\n\ndef fine():\n    pass\n"),
    ("latin.py", b"# \xe9\ndef f(): pass\n"),
    ("big.py", b"x = 1\n" * MAX_BYTES),
    ("notes.md", b"# def f(): pass\n"),
]
MAP = Codemap.build(FILES)


def test_what_is_mapped() -> None:
    assert [s.id for s in MAP if s.path != "bad.py"] == [
        "a.py::<module>",
        "a.py::Box",
        "a.py::Box.__init__",
        "a.py::Box.size",
        "b.py::<module>",
        "b.py::helper",
        "b.py::helper.inner",
        "c.py::<module>",
        "c.py::main",
    ]
    assert "bad.py::fine" in MAP.symbols


def test_symbol_fields() -> None:
    size = MAP.symbols["a.py::Box.size"]
    assert (size.name, size.parent, size.kind) == ("size", "Box", "method")
    assert size.signature == "def size(self):"
    assert size.text(FILES[0][1]) == "    def size(self):\n        return helper(self.n)"
    assert size.references == {"helper", "self", "n"}
    assert size.calls == {"helper"}


def test_lookups() -> None:
    assert [s.id for s in MAP.find("size")] == ["a.py::Box.size"]
    assert [s.id for s in MAP.find("Box.size")] == ["a.py::Box.size"]
    assert MAP.find("Other.size") == ()
    at = {line: s.qualname for line in range(1, 11) if (s := MAP.at("a.py", line))}
    assert at[3] == MODULE
    assert at[5] == "Box"
    assert at[7] == "Box.__init__"
    assert at[10] == "Box.size"
    assert MAP.at("nowhere.py", 1) is None
    assert nearest(MAP, "a.py::Box.sizes", 1) == ["a.py::Box.size"]


def test_references_callers_and_callees() -> None:
    assert MAP.references("helper") == 2
    assert MAP.references("nothing") == 0
    helper = MAP.symbols["b.py::helper"]
    assert [s.id for s in MAP.callers(helper)] == ["a.py::<module>", "a.py::Box.size"]
    assert [s.id for s in MAP.callers(MAP.symbols["a.py::Box.__init__"])] == ["c.py::main"]
    assert [s.id for s in MAP.callees(MAP.symbols["c.py::main"])] == ["a.py::Box", "a.py::Box.size"]


def test_deep_code_does_not_overflow() -> None:
    source = b"x = " + b"(" * 50_000 + b"1" + b")" * 50_000 + b"\n"
    assert [s.qualname for s in parse("deep.py", source)] == [MODULE]


def test_imports_are_cheap() -> None:
    names = "tools.edit, tools.files, tools.git, tools.shell, tools.testing.runners"
    code = f"import sys, {names}; print('tree_sitter' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
