"""The second look at a patch, in real sandboxes."""

from __future__ import annotations

import dataclasses
import sys

from agent.verify.audit import audit
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
