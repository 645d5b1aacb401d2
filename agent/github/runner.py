"""The runner that a job of a workflow runs on: its variables, its outputs, its summary.

What a step prints is read by the runner, too: a line that begins with `::` is a command to it.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.status import UsageError

_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+")
_NUMBER = re.compile(r"[0-9]{1,20}")
_ORIGIN = re.compile(r"(https?|file)://[^\s@?#]*")
_PLAIN_VALUE = re.compile(r"[ -~]*")


@dataclass(frozen=True)
class Runner:
    """A job on a runner of GitHub Actions. `repository` is OWNER/NAME."""

    event_name: str
    event_path: Path
    repository: str
    server_url: str
    api_url: str
    run_id: str
    run_attempt: str
    token: str
    output_path: Path | None = None
    summary_path: Path | None = None

    @classmethod
    def of(cls, environ: Mapping[str, str] | None = None) -> Runner:
        """The runner of the environment (default: this process's). Raises UsageError."""
        variables = os.environ if environ is None else environ
        output, summary = (variables.get(name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"))
        return cls(
            event_name=_variable(variables, "GITHUB_EVENT_NAME", re.compile(r"[a-z_]+")),
            event_path=Path(_variable(variables, "GITHUB_EVENT_PATH", re.compile(r".+"))),
            repository=_variable(variables, "GITHUB_REPOSITORY", _REPOSITORY),
            server_url=_variable(variables, "GITHUB_SERVER_URL", _ORIGIN).rstrip("/"),
            api_url=_variable(variables, "GITHUB_API_URL", _ORIGIN).rstrip("/"),
            run_id=_variable(variables, "GITHUB_RUN_ID", _NUMBER),
            run_attempt=_variable(variables, "GITHUB_RUN_ATTEMPT", _NUMBER, "1"),
            token=variables.get("GITHUB_TOKEN", ""),
            output_path=Path(output) if output else None,
            summary_path=Path(summary) if summary else None,
        )

    @property
    def run_url(self) -> str:
        """The page of this run."""
        return f"{self.server_url}/{self.repository}/actions/runs/{self.run_id}"

    def output(self, **values: str) -> None:
        """Set outputs of the step.

        Values are words of ours, on one line: anything else raises ValueError, since it could
        set other outputs.
        """
        for name, value in values.items():
            if not _PLAIN_VALUE.fullmatch(value):
                raise ValueError(f"the output {name} is no plain text: {value!r}")
        _append(self.output_path, "".join(f"{name}={value}\n" for name, value in values.items()))

    def summary(self, markdown: str) -> None:
        """Add to the summary of the step, in Markdown."""
        _append(self.summary_path, f"{markdown.rstrip()}\n\n")


def no_commands() -> None:
    """Have the runner obey no command in what this step prints from here on.

    Only the word that is printed here would end it. It is drawn anew and told to nobody.
    """
    if os.environ.get("GITHUB_ACTIONS") == "true":
        print(f"::stop-commands::{secrets.token_hex(16)}", flush=True)


def _variable(
    variables: Mapping[str, str], name: str, form: re.Pattern[str], default: str = ""
) -> str:
    value = variables.get(name) or default
    if not form.fullmatch(value):
        wrong = f"{name} is {value!r}" if value else f"{name} is not set"
        raise UsageError(
            f"this is no job of GitHub Actions: {wrong}",
            "`agent github` runs in a workflow; elsewhere, use `agent solve --issue-url`.",
        )
    return value


def _append(path: Path | None, text: str) -> None:
    if path is not None:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
