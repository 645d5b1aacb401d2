"""The few calls of GitHub's REST API that we make, through PyGithub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError

from agent import __version__
from agent.github.event import Issue
from agent.status import EnvironmentFailure

if TYPE_CHECKING:
    from github.Repository import Repository

TIMEOUT_SECONDS = 30
RETRIES = 3
_HINTS = {
    401: "The token in GITHUB_TOKEN is not valid.",
    403: "The token may not do this: see the permissions in docs/github.md.",
    404: "Check the address. What is private needs a token in GITHUB_TOKEN.",
    422: "The repository's settings may not allow this: see docs/github.md.",
}


class Client:
    """A repository on a GitHub server. Every call may raise EnvironmentFailure."""

    def __init__(self, repository: str, api_url: str, token: str = "") -> None:
        """`repository` is OWNER/NAME; without a token, only what is public can be read."""
        self.repository = repository
        self._api_url = api_url
        self._token = token
        self._found: Repository | None = None

    @property
    def _repo(self) -> Repository:
        if self._found is None:
            import urllib3
            from github import Auth, Github

            retry = urllib3.Retry(
                total=RETRIES,
                backoff_factor=0.5,
                status_forcelist=(500, 502, 503, 504),
                allowed_methods=("GET",),
            )
            server = Github(
                auth=Auth.Token(self._token) if self._token else None,
                base_url=self._api_url,
                timeout=TIMEOUT_SECONDS,
                user_agent=f"apprentice-agent/{__version__}",
                retry=retry,
                seconds_between_requests=None,
                seconds_between_writes=None,
                lazy=True,
            )
            self._found = server.get_repo(self.repository)
        return self._found

    def issue(self, number: int) -> Issue:
        """An issue as it is now."""
        with self._explained(f"issue {number}"):
            found = self._repo.get_issue(number).raw_data
        try:
            return Issue.model_validate(found)
        except ValidationError as error:
            raise EnvironmentFailure(
                f"issue {number} of {self.repository}: the answer is no issue"
            ) from error

    def may_write(self, login: str) -> bool:
        """Whether somebody may write to the repository. People it does not know may not."""
        from github import UnknownObjectException

        with self._explained(f"the rights of {login}"):
            try:
                return self._repo.get_collaborator_permission(login) in ("write", "admin")
            except UnknownObjectException:
                return False

    def comment(self, number: int, body: str) -> str:
        """Comment on an issue; the comment's page."""
        with self._explained(f"a comment on issue {number}"):
            return self._repo.get_issue(number).create_comment(body).html_url

    def pull_request_of(self, branch: str, *, state: Literal["open", "closed"]) -> str:
        """The page of a branch's newest pull request in this state; empty if there is none."""
        owner = self.repository.partition("/")[0]
        with self._explained(f"the pull requests of {branch}"):
            for pull in self._repo.get_pulls(state=state, head=f"{owner}:{branch}"):
                return pull.html_url
        return ""

    def open_draft(self, branch: str, base: str, title: str, body: str) -> str:
        """Open a draft pull request; its page."""
        with self._explained(f"a pull request of {branch}"):
            return self._repo.create_pull(base, branch, title=title, body=body, draft=True).html_url

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Turn errors of the library into an EnvironmentFailure with the next step."""
        import requests
        from github import BadAttributeException, GithubException, RateLimitExceededException

        where = f"{what} of {self.repository}"
        try:
            yield
        except RateLimitExceededException as error:
            raise EnvironmentFailure(
                f"{where}: the rate limit of {self._api_url} is reached",
                "Wait, or set GITHUB_TOKEN.",
            ) from error
        except BadAttributeException as error:
            raise EnvironmentFailure(f"{where}: the answer has another form") from error
        except GithubException as error:
            said = f" ({error.message[:200]})" if error.message else ""
            raise EnvironmentFailure(
                f"{where}: {self._api_url} answers {error.status}{said}",
                _HINTS.get(error.status, ""),
            ) from error
        except (requests.RequestException, AssertionError, KeyError, ValueError) as error:
            raise EnvironmentFailure(
                f"{where}: {self._api_url} cannot be reached or understood ({error})"
            ) from error
