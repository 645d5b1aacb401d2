"""Tools that ask git.

A repository's settings can run programs, so git runs inside the sandbox. Only blame asks the
repository on the host, whose history the sandbox does not have: of the committed version, with
everything that could start a program switched off.
"""

from __future__ import annotations

import os
import re
import subprocess

from pydantic import Field

from tools.base import Arguments, Observation, Tool, ToolError, capped
from tools.sandbox.base import Sandbox

LIMIT = 8_000
TIMEOUT = 30.0

_GIT = (
    "git",
    "--no-pager",
    "--no-optional-locks",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "color.ui=false",
    "-c",
    "protocol.allow=never",
)
_SAID = re.compile(
    r"fatal: (no such (path|ref)|file .* has only|detected dubious|not a git|.* is outside)"
)
_NO_FETCH = {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0"}


class GitDiff(Arguments):
    """Arguments of git_diff."""


class GitLog(Arguments):
    """Arguments of git_log."""

    path: str = Field(default="", description="only commits that changed this file")


class GitBlame(Arguments):
    """Arguments of git_blame."""

    path: str = Field(description="file, relative to the repository")
    start_line: int = Field(ge=1, description="first line")
    end_line: int = Field(ge=1, description="last line")


def _git(sandbox: Sandbox, *arguments: str) -> Observation:
    result = sandbox.run([*_GIT, *arguments], timeout=TIMEOUT)
    if result.exit_code != 0 or result.killed_by:
        problem = result.stderr.decode("utf-8", "replace").strip()[:500]
        raise ToolError(problem or f"git ended with {result.killed_by or result.exit_code}")
    text, cut = capped(result.stdout.decode("utf-8", "replace").strip("\n"), LIMIT)
    return Observation(text or "(nothing)", cut=cut + result.cut)


def _git_diff(sandbox: Sandbox, arguments: GitDiff) -> Observation:
    text, cut = capped(sandbox.diff().strip("\n"), LIMIT)
    return Observation(text or "nothing has been changed", cut=cut)


def _git_log(sandbox: Sandbox, arguments: GitLog) -> Observation:
    only = ["--", arguments.path.strip()] if arguments.path.strip() else []
    return _git(
        sandbox, "log", "--no-ext-diff", "-n", "20", "--date=short", "--format=%h %ad %s", *only
    )


def blame_tool(root: str) -> Tool[GitBlame]:
    """git_blame over the history of the repository at `root`, on the host.

    Of git's complaints only known ones are told: others may quote a file that the repository's
    settings name (blame.ignoreRevsFile), which can be any file of the host. Whoever opened the
    repository has accepted whose it is, by settings of the user that git is kept from here.
    """
    accepted = ("-c", f"safe.directory={os.path.realpath(root)}")

    def blame(_: Sandbox, arguments: GitBlame) -> Observation:
        lines = f"{arguments.start_line},{arguments.end_line}"
        command = [
            *_GIT,
            *accepted,
            "-C",
            root,
            "blame",
            "--no-textconv",
            "--date=short",
            "-L",
            lines,
        ]
        try:
            done = subprocess.run(
                [*command, "HEAD", "--", arguments.path.strip()],
                capture_output=True,
                timeout=TIMEOUT,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", **_NO_FETCH},
            )
        except (ValueError, OSError) as error:
            raise ToolError(f"{arguments.path!r}: {error}") from None
        except subprocess.TimeoutExpired:
            raise ToolError("git_blame took too long") from None
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip()[:500]
            raise ToolError(said if _SAID.match(said) else "git cannot say who changed these lines")
        text, cut = capped(done.stdout.decode("utf-8", "replace").strip("\n"), LIMIT)
        return Observation(text, cut=cut)

    return Tool("git_blame", "Show who last changed lines, and when.", GitBlame, blame)


GIT_DIFF = Tool("git_diff", "Show all changes made so far.", GitDiff, _git_diff)
GIT_LOG = Tool("git_log", "List the latest commits.", GitLog, _git_log)
