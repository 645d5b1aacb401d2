"""Bugs in JavaScript and Rust, found by their own tests and solved through the same loop."""

import json
import shutil

import pytest

from agent import verify
from tests.agent.shop import agent, script, solve_arguments
from tests.tools.test_formats import CARGO, CRATE, HERE, NODE, SUM, UNIT

pytestmark = pytest.mark.slow
SYSTEM = "/usr/local/bin:/usr/bin:/bin"
ADDS = 'const { test } = require("node:test");\nconst assert = require("node:assert");\n' + (
    'const { sum } = require("../sum.js");\n'
    'test("adds", () => assert.strictEqual(sum(1, 2), 3));\n'
    'test("zero", () => assert.strictEqual(sum(1, 0), 1));\n'
)


def solve(repo, tmp_path, replies):
    model = script(tmp_path, replies)
    result = agent(*solve_arguments(repo, model, "--json", "--rounds", "1", "--samples", "1"))
    return result.exit_code, json.loads(result.stdout)


def plan(symbol):
    return f"plan\ncause: it subtracts\nsymbol: {symbol}"


def edit(symbol, code, language):
    return f"edit_symbol\nsymbol: {symbol}\n```{language}\n{code}\n```"


@pytest.mark.skipif(shutil.which("node", path=SYSTEM) is None, reason="node is not installed")
def test_javascript(git_repo, tmp_path):
    repo = git_repo({**NODE, HERE: ADDS})
    fixed = SUM.partition("\nmodule")[0].replace("a - b", "a + b")
    code, result = solve(
        repo, tmp_path, [plan("sum.js::sum"), edit("sum.js::sum", fixed, "javascript")]
    )
    assert (code, result["status"]) == (0, "verified"), result
    assert result["verdict"]["fixed"] == [f"{HERE}::adds"]
    assert "a + b" in (repo / "sum.js").read_text()


@pytest.mark.skipif(shutil.which("cargo", path=SYSTEM) is None, reason="cargo is not installed")
def test_rust(git_repo, tmp_path):
    repo = git_repo(CARGO)
    fixed = CRATE.partition("\n#[cfg")[0].rstrip().replace("a - b", "a + b")
    symbol = "src/lib.rs::add"
    code, result = solve(repo, tmp_path, [plan(symbol), edit(symbol, fixed, "rust")])
    assert (code, result["status"]) == (0, "verified"), result
    assert set(result["verdict"]["fixed"]) == {
        f"{UNIT}adds",
        "tests/outer.rs::adds",
        "doc-tests sums::src/lib.rs - add",
    }


@pytest.mark.skipif(shutil.which("cargo", path=SYSTEM) is None, reason="cargo is not installed")
def test_tests_among_the_sources_may_not_be_changed(git_repo):
    repo = git_repo({k: v for k, v in CARGO.items() if not k.startswith("tests/")})
    patch = (
        "diff --git a/src/lib.rs b/src/lib.rs\n--- a/src/lib.rs\n+++ b/src/lib.rs\n"
        "@@ -11,3 +11,3 @@\n     fn adds() {\n-        assert_eq!(add(1, 2), 3);\n"
        "+        assert_eq!(add(1, 2), -1);\n     }\n"
    )
    outcome = verify(repo, patch, sandbox="bubblewrap")
    assert not outcome.verified
    assert outcome.verdict.findings == ("changes tests in src/lib.rs",)
