"""Errors on the command line: what happened, what to do next, and the right exit code."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from agent.status import AgentError, Status
from agent.ui.text import printable


@contextmanager
def reported(*, as_json: bool = False) -> Iterator[None]:
    """Turn the product's exceptions into a message and an exit code; SIGTERM is as Ctrl-C."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    except AgentError as error:
        fail(error.status, str(error), error.hint, as_json=as_json)
    except KeyboardInterrupt:
        fail(Status.INTERRUPTED, "interrupted", as_json=as_json)
    except Exception as error:
        if not _expected(error):
            raise
        fail(Status.ENVIRONMENT, str(error), as_json=as_json)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def fail(status: Status, message: str, hint: str = "", *, as_json: bool = False) -> NoReturn:
    """Report and exit."""
    if as_json:
        from agent.documents import ErrorReport

        report = ErrorReport(status=status, exit_code=status.exit_code, message=message, hint=hint)
        print(report.line())
    else:
        print(f"agent: {printable(message)}", file=sys.stderr)
        if hint:
            print(f"  next: {printable(hint)}", file=sys.stderr)
    raise SystemExit(status.exit_code)


def _expected(error: Exception) -> bool:
    from policies.base import PolicyError
    from policies.experience.store import StoreError
    from tools.sandbox.base import SandboxError

    return isinstance(error, PolicyError | StoreError | SandboxError)
