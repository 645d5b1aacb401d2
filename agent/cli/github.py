"""`agent github`: what the steps of the GitHub Action run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from agent.cli.errors import reported

app = typer.Typer(no_args_is_help=True)

Repo = Annotated[Path, typer.Option(help="A checkout of the repository.")]
LabelName = Annotated[str, typer.Option(help="The label that asks for a fix.")]
Auto = Annotated[
    bool, typer.Option("--auto", help="Work also on issues that people who may write open.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command("gate")
def gate(label: LabelName = "agent-fix", auto: Auto = False, as_json: AsJson = False) -> None:
    """Say whether the issue of the event may be worked on (the output `allowed`)."""
    from agent.github.runner import no_commands

    no_commands()
    with reported(as_json=as_json):
        from agent.github.runner import Runner
        from agent.github.solving import ask

        refused = ask(Runner.of(), label, auto=auto)
        status = "allowed" if refused is None else "refused"
        _say("gate", {"status": status, "message": refused.reason if refused else ""}, as_json)


@app.command("solve")
def solve(
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder of the artifact.")],
    repo: Repo = Path(),
    label: LabelName = "agent-fix",
    auto: Auto = False,
    model: Annotated[str | None, typer.Option(help="A model; see `agent models list`.")] = None,
    model_key_name: Annotated[
        str, typer.Option(help="The variable of a hosted model's key, e.g. ANTHROPIC_API_KEY.")
    ] = "",
    sandbox: Annotated[str | None, typer.Option(help="auto, docker or bubblewrap.")] = None,
    env: Annotated[
        str | None, typer.Option(help="The virtual environment that the tests need.")
    ] = None,
    test_cmd: Annotated[str | None, typer.Option(help="How the tests are run.")] = None,
    samples: Annotated[int | None, typer.Option(help="Attempts at most.")] = None,
    rounds: Annotated[int | None, typer.Option(help="Rounds of an attempt at most.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds to look for a fix.")] = None,
    budget_tokens: Annotated[int | None, typer.Option(help="Tokens at most.")] = None,
    as_json: AsJson = False,
) -> None:
    """Solve the issue of the event, in a job that may only read.

    Exit codes: 0 there is an outcome (see the output `status`), 2 usage, 3 environment.
    """
    from agent.github.runner import no_commands

    no_commands()
    with reported(as_json=as_json):
        from agent.github.gate import Refusal
        from agent.github.runner import Runner
        from agent.github.solving import Request, solve_event
        from agent.status import Status
        from agent.ui.plain import show

        overrides = {
            "model": model,
            "sandbox": sandbox,
            "environment": env,
            "test_command": test_cmd,
            "samples": samples,
            "rounds": rounds,
            "timeout": timeout,
            "budget_tokens": budget_tokens,
        }
        request = Request(
            repo,
            output,
            label,
            auto,
            model_key_name,
            os.environ.get("APPRENTICE_MODEL_KEY", ""),
            {name: value or None for name, value in overrides.items()},
        )
        ended = solve_event(Runner.of(), request, show)
        if isinstance(ended, Refusal):
            _say("solve", {"status": "refused", "message": ended.reason}, as_json)
            return
        _say("solve", ended.model_dump(mode="json", exclude={"test_files", "new_test"}), as_json)
        if ended.status in (Status.ENVIRONMENT, Status.USAGE, Status.INTERRUPTED):
            raise SystemExit(ended.status.exit_code)


@app.command("propose")
def propose(
    artifact: Annotated[Path, typer.Option(help="The folder that `agent github solve` wrote.")],
    repo: Repo = Path(),
    label: LabelName = "agent-fix",
    auto: Auto = False,
    unverified: Annotated[
        bool, typer.Option("--unverified", help="Propose also what is not verified.")
    ] = False,
    new_tests: Annotated[
        bool, typer.Option("--new-tests", help="Add the test that the model wrote, if it did.")
    ] = False,
    deny: Annotated[
        list[str] | None,
        typer.Option(help="Paths like this may not be changed (a pattern; repeatable)."),
    ] = None,
    artifact_id: Annotated[str, typer.Option(help="The number of the uploaded artifact.")] = "",
    as_json: AsJson = False,
) -> None:
    """Open a draft pull request for the event's issue, or comment why there is none.

    Exit codes: 0 there is an outcome (see the output `opened`), 2 usage, 3 environment.
    """
    from agent.github.runner import no_commands

    no_commands()
    with reported(as_json=as_json):
        from agent.github.proposing import Wish
        from agent.github.proposing import propose as propose_event
        from agent.github.rules import Rules
        from agent.github.runner import Runner

        rules = Rules(denied=tuple(deny or ()), new_tests=new_tests)
        wish = Wish(repo, artifact, label, auto, unverified, rules, artifact_id)
        ended = propose_event(Runner.of(), wish)
        told = {"opened": ended.opened, "page": ended.page, "reasons": list(ended.reasons)}
        _say("propose", told, as_json)


@app.command("feedback")
def feedback(
    store: Annotated[
        Path | None,
        typer.Option(help="The store to add to; without it, only say whose the request is."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add to the experience what became of the pull request of the event."""
    from agent.github.runner import no_commands

    no_commands()
    with reported(as_json=as_json):
        from agent.github.feedback import give, origin
        from agent.github.runner import Runner

        runner = Runner.of()
        if store is None:
            known = origin(runner)
            _say("feedback", {"trajectory": known[0].trajectory if known else None}, as_json)
            return
        given = give(runner, store)
        _say("feedback", {"outcome": given.outcome if given else None}, as_json)


def _say(step: str, report: dict[str, Any], as_json: bool) -> None:
    from agent.ui.text import printable

    if as_json:
        from agent.documents import GithubStep

        print(GithubStep(step=step, told=report).line())
        return
    for name in ("status", "message", "opened", "page", "trajectory", "outcome"):
        if report.get(name):
            print(f"{name}: {printable(str(report[name]))}")
    for reason in report.get("reasons") or ():
        print(f"because: {printable(reason)}")
