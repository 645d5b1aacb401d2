"""Issues in the words of a policy."""

from __future__ import annotations

from agent.tasks.instance import Instance
from agent.tasks.issue.describe import written_by_policy
from agent.tasks.tree import visible_files
from policies.base import Policy
from tools.testing.results import Failure


def reword(policy: Policy, instance: Instance) -> Instance:
    """The task with its issue written by a policy, or as it was if that gives something away.

    Raises PolicyError.
    """
    told = instance.problem_statement
    failures = {test: Failure("") for test in instance.fail_to_pass}
    paths = {test.split("::", 1)[0] for test in instance.fail_to_pass}
    sources = {file.path: file.data for file in visible_files(instance) if file.path in paths}
    text = written_by_policy(policy, failures, sources, instance.patch, told)
    return instance.model_copy(update={"problem_statement": text})
