"""The second look at a patch, in real sandboxes."""

from __future__ import annotations

import ast
import dataclasses
import sys
from difflib import unified_diff

from agent.api import verify
from agent.verify.audit import audit, padded
from agent.verify.verifier import Verifier
from agent.workspace import Workspace
from tools.sandbox.base import File, Sandbox, Spec
from tools.testing.detect import TestCommand
from tools.testing.results import TestEnvironmentError, TestRun

CODE = b"def one():\n    return 1\n"
TESTS = b"from code_1 import one\n\n\ndef test_one():\n    assert one() == 1\n"
TARGET = "test_one.py::test_one"


def workspace() -> Workspace:
    files = (File("code_1.py", CODE), File("test_one.py", TESTS))
    return Workspace(
        files, "bubblewrap", Spec(environment=sys.prefix), TestCommand((), "pytest"), 60.0
    )


def first_run(tree: Workspace) -> TestRun:
    with tree.fresh() as sandbox:
        return tree.test(sandbox)


def test_a_padded_file_has_lines_that_linters_let_pass():
    for source in (TESTS, TESTS.rstrip(), b""):
        padded_file = padded("t.py", source).decode()
        ast.parse(padded_file)
        assert max(map(len, padded_file.splitlines())) <= 70
        assert padded_file.endswith(".\n")
        assert "\n\n\n\n" not in padded_file
    assert len({len(padded("t.py", TESTS)) for _ in range(20)}) > 1


def test_a_patch_is_no_fix_of_a_test_that_fails_only_by_chance():
    tree = workspace()
    run = first_run(tree)
    old = CODE.decode().splitlines(keepends=True)
    lines = unified_diff(old, ["# As it was.\n", *old], "a/code_1.py", "b/code_1.py")
    diff = "diff --git a/code_1.py b/code_1.py\n" + "".join(lines)
    failed = dataclasses.replace(run, outcomes={TARGET: "failed"})
    assert Verifier(tree, failed, (TARGET,), failed_twice=True).judge(diff).verified
    verdict = Verifier(tree, failed, (TARGET,)).judge(diff)
    assert not verdict.verified
    assert verdict.reasons == ("the failing tests pass without the patch as well: they are flaky",)


def test_a_patch_of_an_assertion_beside_the_tests_is_a_finding(git_repo):
    base = "import unittest\n\n\nclass Base(unittest.TestCase):\n    def same(self, a, b):\n"
    case = (
        "from shop.price import price\nfrom shop.test.base import Base\n\n\n"
        "class Test(Base):\n    def test_price(self):\n        self.same(price(), 3)\n"
    )
    files = {
        "shop/__init__.py": "",
        "shop/price.py": "def price():\n    return 2\n",
        "shop/test/__init__.py": "",
        "shop/test/base.py": f"{base}        assert a == b\n",
        "shop/test/test_price.py": case,
    }
    name = "shop/test/base.py"
    old = files[name].splitlines(keepends=True)
    lines = unified_diff(old, [*old[:-1], "        return\n"], f"a/{name}", f"b/{name}")
    patch = f"diff --git a/{name} b/{name}\n" + "".join(lines)
    done = verify(git_repo(files), patch, sandbox="bubblewrap", environment=sys.prefix)
    assert done.status == "unverified"
    assert f"changes a protected file: {name}" in done.verdict.findings


def test_a_module_of_the_repository_that_is_missing_is_no_missing_package():
    tests = TESTS.replace(b"code_1", b"code_1.gone") + b"import nosuchpackage\n"
    tree = workspace().with_file(File("test_one.py", tests))
    other = File("test_two.py", b"import nosuchpackage\n")
    assert first_run(tree.with_file(other)).missing_modules == ("nosuchpackage",)


def test_a_target_is_checked_when_its_control_came_to_its_end():
    tree = workspace()
    audited = audit(tree, tree, tree.test, first_run(tree), [TARGET])
    assert (audited.finding, audited.unchecked) == ("", ())


def test_a_control_that_was_cut_off_checks_nothing():
    tree = workspace()

    def cut_off(sandbox: Sandbox) -> TestRun:
        return dataclasses.replace(tree.test(sandbox), outcomes={}, complete=False)

    audited = audit(tree, tree, cut_off, first_run(tree), [TARGET])
    assert (audited.finding, audited.unchecked) == ("", (TARGET,))


def test_a_control_that_does_not_start_checks_nothing():
    tree = workspace()

    def refused(sandbox: Sandbox) -> TestRun:
        raise TestEnvironmentError("no pytest")

    audited = audit(tree, tree, refused, first_run(tree), [TARGET])
    assert (audited.finding, audited.unchecked) == ("", (TARGET,))
