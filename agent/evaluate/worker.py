"""A process of an evaluation: jobs in as lines of JSON, answers out. One job at a time.

Samples and scores run in different processes; the death of one is the failure of one job.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import IO, Any

from agent.config import Settings
from agent.status import AgentError
from agent.tasks.instance import Instance


def main() -> None:
    """Answer jobs until the input ends. What libraries print goes to standard error."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    start = json.loads(sys.stdin.readline())
    settings = Settings.model_validate(start["settings"])
    with contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as stack:
        if start["store"] is None:
            _answer(answers, {"ready": True})
            for line in sys.stdin:
                _answer(answers, _score(json.loads(line), settings))
            return
        from policies.choose import open_policy
        from policies.experience.store import Store

        store = stack.enter_context(Store.open(Path(start["store"])))
        try:
            policy = open_policy(settings.model, context_tokens=settings.context_tokens)
        except Exception as error:
            _answer(answers, {"error": str(error)})
            return
        stack.callback(policy.close)
        _answer(answers, {"ready": True})
        for line in sys.stdin:
            _answer(answers, _sample(json.loads(line), policy, store, settings))


def _answer(stream: IO[str], answer: dict[str, Any]) -> None:
    stream.write(json.dumps(answer) + "\n")
    stream.flush()


def _sample(job: dict[str, Any], policy: Any, store: Any, settings: Settings) -> dict[str, Any]:
    from agent.evaluate.sample import predict

    instance = Instance.model_validate(job["instance"])
    try:
        made = predict(instance, job["variant"], job["sample"], policy, store, settings)
    except Exception as error:
        return _failed(error)
    return made.model_dump(mode="json")


def _score(job: dict[str, Any], settings: Settings) -> dict[str, Any]:
    from agent.evaluate.score import score

    try:
        made = score(Instance.model_validate(job["instance"]), job["patch"], settings)
    except Exception as error:
        return _failed(error)
    return made.model_dump(mode="json")


def _failed(error: Exception) -> dict[str, Any]:
    from policies.base import PolicyError
    from tools.sandbox.base import SandboxError
    from tools.testing.results import TestEnvironmentError

    expected = (AgentError, PolicyError, SandboxError, TestEnvironmentError)
    name = "" if isinstance(error, expected) else f"{type(error).__name__}: "
    return {"error": f"{name}{error}"}


if __name__ == "__main__":
    main()
