"""Results by test of runners other than pytest, run for real where they are installed."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from agent.verify.outcomes import is_green
from tests.tools.conftest import open_box
from tools.codemap import inline_tests
from tools.inline_tests import changes_tests, files_of_tests
from tools.sandbox.base import File, Limits, Spec
from tools.sandbox.choose import open_sandbox
from tools.testing import command
from tools.testing.detect import TestCommand, detect
from tools.testing.formats import _node, format_of
from tools.testing.results import COLLECTION, COMMAND, Frame
from tools.testing.runners import run_tests


def installed(program):
    """Whether a program is where a sandbox sees it."""
    found = shutil.which(program, path="/usr/local/bin:/usr/bin:/bin")
    return pytest.mark.skipif(found is None, reason=f"{program} is not installed")


SUM = """\
function sum(a, b) {
  return a - b;
}
module.exports = { sum };
"""
SUM_TESTS = """\
const { test, describe, it } = require("node:test");
const assert = require("node:assert");
const { sum } = require("../sum.js");

test("adds", () => {
  console.log("noise");
  assert.strictEqual(sum(1, 2), 3);
});

describe("with zero", () => {
  it("is the other", () => assert.strictEqual(sum(1, 0), 1));
  it("throws", () => { throw new TypeError("no 1.5 here"); });
  it.skip("later", () => {});
});

test("parts", async (t) => {
  await t.test("first", () => {});
  await t.test("second", () => assert.ok(false));
});
"""
NODE = {"sum.js": SUM, "test/sum.test.js": SUM_TESTS}
HERE = "test/sum.test.js"


def run(files):
    """The detected tests of a repository, in a sandbox."""
    data = {path: text.encode() for path, text in files.items()}
    found = detect(data, data.__getitem__)
    with open_box(files) as box:
        return run_tests(box, found, timeout=120)


@installed("node")
def test_node_tells_each_test():
    run_ = run(NODE)
    assert dict(run_.outcomes) == {
        f"{HERE}::adds": "failed",
        f"{HERE}::with zero > is the other": "passed",
        f"{HERE}::with zero > throws": "failed",
        f"{HERE}::with zero > later": "skipped",
        f"{HERE}::parts > first": "passed",
        f"{HERE}::parts > second": "failed",
    }
    assert run_.complete
    assert run_.exit_code == 1
    failure = run_.failures[f"{HERE}::adds"]
    assert "3" in failure.message
    assert failure.frames[-1].path == HERE
    assert failure.frames[-1].line == 7
    assert "noise" not in run_.output


@installed("node")
def test_npm_test_is_read_as_what_it_runs():
    package = json.dumps({"scripts": {"test": "node --test"}})
    files = {**NODE, "package.json": package}
    data = {path: text.encode() for path, text in files.items()}
    assert detect(data, data.__getitem__).format == "node"
    if shutil.which("npm", path="/usr/local/bin:/usr/bin:/bin"):
        assert run(files).outcomes[f"{HERE}::adds"] == "failed"


@installed("node")
def test_a_file_that_does_not_load_is_a_failing_test():
    run_ = run({**NODE, "sum.js": "throw new Error('broken');\n"})
    lost = HERE + COLLECTION
    assert dict(run_.outcomes) == {lost: "failed"}
    assert "broken" in run_.failures[lost].longrepr
    assert is_green(run({**NODE, HERE: 'require("node:test").test("all", () => {});'}), lost)


@installed("node")
def test_hooks_helpers_and_repeated_names_of_node():
    helper = 'const { it } = require("node:test");\nmodule.exports = () => it("fits", () => {});\n'
    tests = """\
const { describe, before, it } = require("node:test");
const fits = require("./helper.js");
describe("hooked", () => { before(() => { throw new Error("hook"); }); it("x", () => {}); });
describe("helped", () => { fits(); });
for (const n of [1, 0]) it("rounds", () => { if (n) throw new Error("first"); });
"""
    run_ = run({"a.test.js": tests, "helper.js": helper})
    assert dict(run_.outcomes) == {
        "a.test.js::hooked > x": "failed",
        "a.test.js" + COLLECTION: "failed",
        "a.test.js::helped > fits": "passed",
        "a.test.js::rounds": "failed",
    }
    assert run_.failures["a.test.js::rounds"].message == "first"


@installed("node")
def test_all_may_pass():
    files = {
        "a.test.mjs": 'import test from "node:test";\ntest("a::b > c.d", () => {});\n',
    }
    run_ = run(files)
    assert run_.ok
    assert list(run_.outcomes) == ["a.test.mjs::a::b > c.d"]


EXPORTED = SUM.partition("module")[0].replace("function", "export function", 1)
EXPECTING = """\
import { expect, test, describe } from "vitest";
import { sum } from "../sum.js";

test("adds", () => {
  expect(sum(1, 2)).toBe(3);
});

describe("with zero", () => {
  test("is the other", () => expect(sum(1, 0)).toBe(1));
  test.skip("later", () => {});
});
"""
VITEST = {
    "package.json": json.dumps({"type": "module", "scripts": {"test": "vitest"}}),
    "sum.js": EXPORTED,
    HERE: EXPECTING,
}
JEST = {
    "package.json": json.dumps({"scripts": {"test": "jest"}}),
    "sum.js": SUM,
    HERE: EXPECTING.partition("\n")[2].replace(
        'import { sum } from "../sum.js";', 'const { sum } = require("../sum.js");'
    ),
}


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    """What npm installs, once."""
    folder = tmp_path_factory.mktemp("npm")
    command = ["npm", "install", "--no-fund", "--no-audit", "--prefix", folder]
    subprocess.run([*command, "jest@30", "vitest@3"], check=True, capture_output=True)
    return folder / "node_modules"


@pytest.mark.slow
@installed("npm")
@pytest.mark.parametrize("files", [VITEST, JEST], ids=["vitest", "jest"])
def test_vitest_and_jest_tell_each_test(files, packages):
    for script in ({}, {"sum.js": "throw new Error('broken');\n"}):
        data = {path: text.encode() for path, text in {**files, **script}.items()}
        found = detect(data, data.__getitem__)
        spec = Spec(limits=Limits(wall_seconds=120), modules=str(packages))
        made = [File(path, content) for path, content in data.items()]
        with open_sandbox("bubblewrap", made, spec) as box:
            run_ = run_tests(box, found, timeout=120)
        if script:
            assert dict(run_.outcomes) == {HERE + COLLECTION: "failed"}
            failure = run_.failures[HERE + COLLECTION]
            assert "broken" in failure.message
            told = [(frame.path, frame.line) for frame in failure.frames]
            assert ("sum.js", 1) in told or files is VITEST
            continue
        assert dict(run_.outcomes) == {
            f"{HERE}::adds": "failed",
            f"{HERE}::with zero > is the other": "passed",
            f"{HERE}::with zero > later": "skipped",
        }
        failure = run_.failures[f"{HERE}::adds"]
        assert failure.frames[-1].path == HERE
        assert "3" in failure.longrepr


CRATE = """\
/// ```
/// assert_eq!(sums::add(1, 1), 2);
/// ```
pub fn add(a: i32, b: i32) -> i32 {
    a - b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds() {
        assert_eq!(add(1, 2), 3);
    }

    #[test]
    fn zero() {
        assert_eq!(add(1, 0), 1);
    }

    #[test]
    #[ignore]
    fn later() {}
}
"""
CARGO = {
    "Cargo.toml": '[package]\nname = "sums"\nversion = "0.1.0"\nedition = "2021"\n',
    "src/lib.rs": CRATE,
    "tests/outer.rs": "#[test]\nfn adds() {\n    assert_eq!(sums::add(2, 2), 4);\n}\n",
}
UNIT = "sums unittests src/lib.rs::tests::"


@installed("cargo")
def test_cargo_tells_each_test():
    run_ = run(CARGO)
    assert dict(run_.outcomes) == {
        f"{UNIT}adds": "failed",
        f"{UNIT}zero": "passed",
        f"{UNIT}later": "skipped",
        "tests/outer.rs::adds": "failed",
        "doc-tests sums::src/lib.rs - add": "failed",
    }
    failure = run_.failures["tests/outer.rs::adds"]
    assert failure.frames == (Frame("tests/outer.rs", 3, ""),)
    assert "left" in failure.longrepr


@installed("cargo")
def test_what_does_not_compile_is_one_failure():
    run_ = run({**CARGO, "src/lib.rs": "pub fn add("})
    assert run_.outcomes == {COMMAND: "failed"}


def test_commands_and_their_formats():
    known = {
        "node --test": "node",
        "node --experimental-vm-modules --test test/": "node",
        "cargo test": "cargo",
        "cargo +nightly test --workspace": "cargo",
        "cargo t -- --nocapture": "cargo",
        "npx jest --ci": "jest",
        "vitest run": "vitest",
        "cross-env CI=1 npx jest": "jest",
    }
    for line, name in known.items():
        row = format_of(line)
        assert row is not None, line
        assert row.name == name
    for line in (
        "node --test --test-reporter=dot",
        "cargo xtask test",
        "make test",
        "node app.js",
        "jest && eslint .",
        "vitest run | cat",
        "",
    ):
        assert format_of(line) is None, line


def test_a_command_of_the_user_has_its_format():
    assert detect((), lambda _: b"", "cargo test --lib").format == "cargo"
    assert detect((), lambda _: b"", "pytest -q") == TestCommand(("-q",), "pytest")


def test_output_that_lies_about_its_form_is_no_result():
    row = format_of("node --test")
    with pytest.raises(ValueError, match="Expecting"):
        list(row.read("mark{", "mark", "/w"))
    assert list(row.read('{"file": "forged"}', "mark", "/w")) == []


@installed("node")
@pytest.mark.parametrize("lie", ['{"outcome": "perfect"}', '{"message": 5}', '{"names": [null]}'])
def test_lines_of_another_form_are_no_results(lie, monkeypatch):
    texts = dict.fromkeys(("message", "stack", "noise"), "")
    honest = {"file": "a", "names": ["b"], "outcome": "failed", "seconds": 0, **texts}
    forged = json.dumps({**honest, **json.loads(lie)})
    row = replace(format_of("node --test"), read=lambda out, mark, w: _node(mark + forged, mark, w))
    monkeypatch.setattr(command, "FORMATS", (row,))
    assert list(run(NODE).outcomes) == [COMMAND]


def test_tests_among_the_sources():
    names = {symbol.qualname for symbol in inline_tests("src/lib.rs", CRATE.encode())}
    assert names == {"tests", "tests.adds", "tests.zero", "tests.later"}
    assert inline_tests("a.py", b"def test_a():\n    pass\n") == []
    other = (
        b"#[derive(Test)]\nstruct A;\n#[inline]\n#[tokio::test]\n// why\nfn b() {}\nfn test() {}\n"
        b'#[cfg(all(feature = "x", test))]\nmod c { fn d() {} }\n'
        b'#[cfg(any(test, feature = "x"))]\nfn e() {}\n#[cfg(feature = "test-util")]\nfn f() {}\n'
        b"#[cfg(all(not(loom), test))]\nfn g() {}\n"
    )
    names = [symbol.qualname for symbol in inline_tests("src/lib.rs", other)]
    assert names == ["b", "c", "c.d", "g"]


IGNORED = "    #[test]\n    #[ignore]"


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("a - b", "a + b", False),
        ("add(1, 2), 3", "add(1, 2), -1", True),
        ("use super::*;", "use super::*;\n    fn add(_: i32, _: i32) -> i32 { 3 }", True),
        (
            "    #[test]\n    fn adds() {\n        assert",
            "    #[test]\n    fn adds() { // assert",
            True,
        ),
        ("#[cfg(test)]\nmod", "#[cfg(any())]\nmod parked {\n#[cfg(test)]\nmod", True),
        ("(sums::add(1, 1), 2)", "(sums::add(1, 1), 0)", True),
        ("pub fn add", "#[cfg(not(test))]\npub fn add", True),
        ("a - b", "if cfg!(test) { 3 } else { a - b }", True),
        ("pub fn", "macro_rules! near { () => {} }\npub fn", True),
        ("pub fn add", "#[inline]\npub fn add", False),
        (IGNORED, f"    #[test]\n    fn new() {{}}\n\n{IGNORED}", False),
        ("pub fn", "macro_rules! assert_eq { ($($t:tt)*) => {} }\npub fn", True),
        ("    #[test]\n    fn zero", "    fn zero", True),
    ],
)
def test_what_may_become_of_tests_among_the_sources(old, new, changed):
    assert old in CRATE
    after = CRATE.replace(old, new, 1)
    assert changes_tests("src/lib.rs", CRATE.encode(), after.encode()) is changed


def test_macros_of_new_files_and_modules_in_files_of_their_own():
    assert changes_tests("src/m.rs", b"", b"macro_rules! assert_eq { ($($t:tt)*) => {} }\n")
    assert not changes_tests("src/m.rs", b"", b"pub fn a() {}\n")
    files = {
        "src/lib.rs": b"#[cfg(test)]\nmod checks;\nmod plain;\n",
        "src/checks.rs": b"",
        "src/plain.rs": b"#[cfg(test)]\nmod deep;\n",
        "src/plain/deep/mod.rs": b"",
        "src/deep.rs": b"",
    }
    assert files_of_tests(files) == {"src/checks.rs", "src/plain/deep/mod.rs"}


def test_deep_code_is_no_problem():
    deep = b"#[test]\nfn a() {}\nfn b() { " + b"{" * 3000 + b"}" * 3000 + b" }\n"
    assert changes_tests("src/lib.rs", deep, deep.replace(b"#[test]\n", b""))


def test_the_reporter_is_part_of_the_package():
    folder = Path(__file__).parents[2] / "tools" / "testing"
    assert all((folder / row.asset).is_file() for row in map(format_of, ["node --test"]))
