"""An issue by its address, for `agent solve --issue-url`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from agent.github.client import Client
from agent.github.text import issue_text
from agent.status import UsageError

GITHUB = "https://github.com"
_ADDRESS = re.compile(
    r"(?P<server>https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?)/"
    r"(?P<repository>[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+)/issues/"
    r"(?P<number>[0-9]{1,12})(?:[/?#].*)?"
)


def issue_at(url: str, environ: Mapping[str, str] | None = None) -> str:
    """The issue's title and body as plain text, read through the server's REST API.

    A token in GITHUB_TOKEN or GH_TOKEN is used with the server that it is for: GITHUB_SERVER_URL,
    else github.com. Raises UsageError and EnvironmentFailure.
    """
    variables = os.environ if environ is None else environ
    found = _ADDRESS.fullmatch(url.strip())
    home = variables.get("GITHUB_SERVER_URL", GITHUB).rstrip("/")
    if found is None or (found["server"] != home and not found["server"].startswith("https://")):
        raise UsageError(
            f"{url!r} is no address of an issue", f"For example: {GITHUB}/OWNER/NAME/issues/12"
        )
    server, token = found["server"], ""
    if server == home:
        token = variables.get("GITHUB_TOKEN") or variables.get("GH_TOKEN") or ""
    issue = Client(found["repository"], _api(server, home, variables), token).issue(
        int(found["number"])
    )
    return issue_text(issue.title, issue.body)


def _api(server: str, home: str, variables: Mapping[str, str]) -> str:
    if server == home and (given := variables.get("GITHUB_API_URL")):
        return given.rstrip("/")
    return "https://api.github.com" if server == GITHUB else f"{server}/api/v3"
