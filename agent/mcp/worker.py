"""One run in a process of its own: an order in as a line of JSON, progress and an answer out.

The process that asked may end it with SIGTERM, or by going away: when the input ends, the run stops
as it does on Ctrl-C. What libraries print goes to standard error.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import IO, Any

from agent.status import AgentError, Status


def main() -> None:
    """Do what the first line of the input asks, and exit as the command line would."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        order = json.loads(sys.stdin.readline())
        threading.Thread(target=_stop_at_the_end, daemon=True).start()
        _answer(answers, _run(order, answers))
    except AgentError as error:
        _answer(answers, {"error": str(error), "hint": error.hint})
    except KeyboardInterrupt:
        raise SystemExit(Status.INTERRUPTED.exit_code) from None


def _stop_at_the_end() -> None:
    while os.read(0, 1 << 16):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _run(order: dict[str, Any], answers: IO[str]) -> dict[str, Any]:
    from agent.api import solve, verify

    def say(text: str) -> None:
        _answer(answers, {"progress": text})

    options = {**order["options"], "tests": order["tests"], "on_progress": say}
    if "patch" in order:
        result = verify(order["repo"], order["patch"], **options)
    else:
        result = solve(order["repo"], order["issue"], apply=order["apply"], **options)
    return {"result": result.model_dump(mode="json")}


def _answer(stream: IO[str], answer: dict[str, Any]) -> None:
    stream.write(json.dumps(answer) + "\n")
    stream.flush()


if __name__ == "__main__":
    main()
