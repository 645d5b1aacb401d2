"""An issue by its address, for `agent solve --issue-url`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import NamedTuple

from agent.github.client import Client
from agent.github.text import issue_text
from agent.status import UsageError

GITHUB = "https://github.com"
_ADDRESS = re.compile(
    r"(?P<server>https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?)/"
    r"(?P<repository>[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+)/issues/"
    r"(?P<number>[0-9]{1,12})(?:[/?#].*)?"
)


class Address(NamedTuple):
    """Where an issue is asked for. The token is empty for servers that it is not for."""

    repository: str
    number: int
    api_url: str
    token: str


def address_of(url: str, environ: Mapping[str, str] | None = None) -> Address:
    """The address behind an issue's page.

    A token in GITHUB_TOKEN or GH_TOKEN is for the server in GITHUB_SERVER_URL, else for github.com.
    Raises UsageError for what is no page of an issue; other servers must speak https.
    """
    variables = os.environ if environ is None else environ
    found = _ADDRESS.fullmatch(url.strip())
    home = variables.get("GITHUB_SERVER_URL", GITHUB).rstrip("/")
    if found is None or (found["server"] != home and not found["server"].startswith("https://")):
        raise UsageError(
            f"{url!r} is no address of an issue", f"For example: {GITHUB}/OWNER/NAME/issues/12"
        )
    server, token = found["server"], ""
    api = "https://api.github.com" if server == GITHUB else f"{server}/api/v3"
    if server == home:
        api = variables.get("GITHUB_API_URL", api).rstrip("/")
        token = variables.get("GITHUB_TOKEN") or variables.get("GH_TOKEN") or ""
    return Address(found["repository"], int(found["number"]), api, token)


def issue_at(url: str, environ: Mapping[str, str] | None = None) -> str:
    """The issue's title and body as plain text, through the REST API of its server.

    Raises UsageError for what is no address, EnvironmentFailure when it cannot be read.
    """
    repository, number, api, token = address_of(url, environ)
    issue = Client(repository, api, token).issue(number)
    return issue_text(issue.title, issue.body)
