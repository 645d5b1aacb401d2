"""The tool by which a policy that calls tools runs the tests while it works."""

from __future__ import annotations

from pydantic import Field

from agent.context.brief import views
from agent.task import Budget
from agent.workspace import Workspace
from tools.base import Arguments, Observation, Tool, ToolError
from tools.sandbox.base import Sandbox
from tools.testing.results import TestEnvironmentError


class RunTests(Arguments):
    """Arguments of run_tests."""

    tests: tuple[str, ...] = Field(
        default=(), description="ids of tests, as they are shown (pytest only); none: all of them"
    )


def tests_tool(workspace: Workspace, budget: Budget) -> Tool[RunTests]:
    """A tool that says which tests pass on the code as it stands, and leaves it so.

    The budget pays for the time.
    """

    def run_tests(sandbox: Sandbox, arguments: RunTests) -> Observation:
        try:
            left = budget.seconds_left
            run = workspace.test_and_undo(sandbox, arguments.tests, seconds=left)
        except TestEnvironmentError as error:
            raise ToolError(str(error)) from error
        budget.test_seconds += run.seconds
        shown = [f"## {view.id}\n{view.message}" for view in views(run, run.failing)]
        missing = [f"no result of {name}" for name in arguments.tests if name not in run.outcomes]
        return Observation("\n".join([run.summary, *missing, *shown]))

    return Tool("run_tests", "Run the tests on the code as it stands.", RunTests, run_tests)
