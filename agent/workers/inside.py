"""A worker process: jobs in as lines of JSON, answers out. One job at a time.

Jobs of different kinds run in different processes; the death of one is the failure of one job. The
first line names a module whose `open_jobs(settings, store, stack)` gives the jobs by name; what it
opens is closed with the stack.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from agent.config import Settings
from agent.status import AgentError
from agent.tasks.instance import Instance

Job = Callable[[Instance, dict[str, Any], Settings], dict[str, Any]]


def main() -> None:
    """Answer jobs until the input ends. What libraries print goes to standard error."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    start = json.loads(sys.stdin.readline())
    settings = Settings.model_validate(start["settings"])
    store = Path(start["store"]) if start["store"] else None
    with contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as stack:
        try:
            module = importlib.import_module(start["jobs"])
            jobs: dict[str, Job] = module.open_jobs(settings, store, stack)
        except Exception as error:
            _answer(answers, {"error": str(error)})
            return
        _answer(answers, {"ready": True})
        for line in sys.stdin:
            job = json.loads(line)
            _answer(answers, _done(jobs[job["do"]], job, settings))


def _answer(stream: IO[str], answer: dict[str, Any]) -> None:
    stream.write(json.dumps(answer) + "\n")
    stream.flush()


def _done(job: Job, row: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """The answer to a job. Whatever it raises is the failure of one job, and so an answer, too."""
    from policies.base import PolicyError
    from tools.sandbox.base import SandboxError
    from tools.testing.results import TestEnvironmentError

    try:
        return job(Instance.model_validate(row["instance"]), row, settings)
    except AgentError as error:
        return {"error": f"{error}. {error.hint}".removesuffix(". "), "expected": True}
    except (PolicyError, SandboxError, TestEnvironmentError) as error:
        return {"error": str(error), "expected": True}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}", "expected": False}


if __name__ == "__main__":
    main()
