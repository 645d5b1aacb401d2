"""`agent tasks`: make tasks whose answer can be checked."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.errors import reported
from agent.status import AgentError, Status, UsageError
from agent.ui.text import printable

if TYPE_CHECKING:
    from agent.tasks.instance import Instance
    from agent.tasks.make import Funnel
    from agent.tasks.problems import Problem
    from agent.tasks.recipe import Recipe

app = typer.Typer(no_args_is_help=True)

Repos = Annotated[
    list[str] | None,
    typer.Argument(metavar="REPO…", help="A path, a git URL, or pypi:NAME==VERSION."),
]
Output = Annotated[Path, typer.Option("--output", "-o", help="The file of tasks to write.")]
Packages = Annotated[
    list[str] | None,
    typer.Option(
        "--package", help="A package that the tests need (repeatable); default: as declared."
    ),
]
TestCommand = Annotated[str | None, typer.Option("--test-cmd", help="How the tests are run.")]
Sandbox = Annotated[str | None, typer.Option(help="auto, docker, bubblewrap, or none.")]
Jobs = Annotated[int, typer.Option(min=1, help="Sandboxes at work at a time.")]
TestTimeout = Annotated[float, typer.Option(help="Seconds for a run of a suite at most.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]


@app.command("make")
def make(
    repos: Repos = None,
    output: Output = Path("tasks.jsonl"),
    manifest: Annotated[
        Path | None, typer.Option(help="A TOML file of recipes, instead of REPO.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Tasks of each repository at most.")] = 50,
    candidates: Annotated[int, typer.Option(min=1, help="Bugs to try at most.")] = 2000,
    family: Annotated[
        list[str] | None, typer.Option(help="Only this family of mutations (repeatable).")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="No bugs in files like this (a pattern; repeatable).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Which bugs are tried first.")] = 0,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Add tests with other inputs, for scoring alone.")
    ] = False,
    package: Packages = None,
    test_cmd: TestCommand = None,
    model: Annotated[
        str | None, typer.Option(help="Have this model write the issues; default: a template.")
    ] = None,
    sandbox: Sandbox = None,
    jobs: Jobs = 2,
    test_timeout: TestTimeout = 120.0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Make bugs in repositories with tests, and keep those that a test shows.

    What was tried is kept beside the output (OUTPUT.work), so that a run that was stopped goes on.
    Exit codes: 0 all repositories gave tasks, 1 some did not, 2 usage, 3 environment.
    """
    with reported(as_json=as_json):
        from agent.tasks.recipe import Recipe, read_manifest

        if bool(repos) == bool(manifest):
            raise UsageError("name repositories, or a manifest with --manifest")
        expected = None
        if manifest is not None:
            read = read_manifest(manifest)
            recipes, expected = list(read.repository), read.sha256
        else:
            packages = tuple(package) if package else None
            recipes = [
                Recipe(
                    repo=_absolute(repo),
                    packages=packages,
                    test_command=test_cmd,
                    seed=seed,
                    limit=limit,
                    candidates=candidates,
                    families=_families(family),
                    exclude=tuple(exclude or ()),
                )
                for repo in repos or ()
            ]
        _need("libcst")
        silent = as_json or quiet
        settings = _settings(sandbox=sandbox, test_timeout=test_timeout, model=model)
        work = output.with_name(f"{output.name}.work")
        instances: list[Instance] = []
        funnels: list[Funnel] = []
        problems: list[Problem] = []
        for recipe in recipes:
            try:
                made, funnel = _make_one(recipe, settings, work, jobs, silent, held_out)
            except Exception as error:
                problems.append(_problem(recipe.repo, error, silent=as_json))
            else:
                instances += made
                funnels.append(funnel)
        if model is not None:
            instances = _reworded(instances, settings, silent)
        wanted = expected if model is None else None
        _write(output, instances, problems, as_json, funnels, wanted)
    raise SystemExit(1 if problems else 0)


@app.command("mine")
def mine(
    repo: Annotated[str, typer.Argument(help="A path, a git URL, or pypi:NAME (its releases).")],
    output: Output = Path("tasks.jsonl"),
    limit: Annotated[int, typer.Option(min=1, help="Tasks at most.")] = 50,
    commits: Annotated[int, typer.Option(min=1, help="Fix commits to try, newest first.")] = 1000,
    any_commit: Annotated[
        bool, typer.Option("--any-commit", help="Also those that do not call themselves a fix.")
    ] = False,
    issues: Annotated[
        Path | None, typer.Option(help="A JSON file {number: text} of the issues linked to.")
    ] = None,
    package: Packages = None,
    test_cmd: TestCommand = None,
    sandbox: Sandbox = None,
    test_timeout: TestTimeout = 120.0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Find fix commits, or releases, whose tests fail before and pass after."""
    with reported(as_json=as_json):
        from agent.tasks.history import read_issues
        from agent.tasks.mine import mine_tasks
        from agent.ui.counted import count_bar

        settings = _settings(sandbox=sandbox, test_timeout=test_timeout)
        texts = read_issues(issues) if issues else {}
        with count_bar(f"commits of {repo}", silent=as_json or quiet) as show:
            instances, problems = mine_tasks(
                _absolute(repo),
                settings,
                limit=limit,
                commits=commits,
                any_commit=any_commit,
                issues=texts,
                packages=tuple(package) if package else None,
                test_command=test_cmd,
                kept=output.with_name(f"{output.name}.work"),
                on_commit=show,
            )
        if not instances:
            raise UsageError(
                f"no commit of {repo} makes a task ({len(problems)} were tried)",
                problems[-1].problem if problems else "Look further back with --commits.",
            )
        _write(output, instances, problems if as_json else [], as_json, [])


@app.command("check")
def check(
    tasks: Annotated[Path, typer.Argument(help="A file of tasks.")],
    sandbox: Sandbox = None,
    jobs: Jobs = 2,
    test_timeout: TestTimeout = 120.0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Check every row: the known fix solves it, and the untouched base does not.

    Exit codes: 0 all rows hold, 1 some do not.
    """
    with reported(as_json=as_json):
        from agent.tasks.instance import read_instances
        from agent.tasks.problems import Problem
        from agent.tasks.report import Checked
        from agent.ui.counted import count_bar

        instances, bad = read_instances(tasks)
        settings = _settings(sandbox=sandbox, test_timeout=test_timeout)
        problems = [
            Problem(where=f"{row.line} {row.instance_id}", problem=row.problem) for row in bad
        ]
        with count_bar("checked", silent=as_json or quiet) as show:
            from agent.evaluate.check import check_all

            gold, base = 0, 0
            for done, found in enumerate(check_all(instances, settings, jobs), 1):
                gold += found.gold
                base += found.base
                if found.problem:
                    problems.append(Problem(where=found.instance_id, problem=found.problem))
                show(done, len(instances), f"{len(problems)} problems")
        if as_json:
            checked = Checked(tasks=len(instances), gold=gold, base=base, problems=tuple(problems))
            print(checked.line())
        else:
            for row in problems:
                print(f"{row.where}: {row.problem}", file=sys.stderr)
            print(f"{len(instances)} tasks: known fixes solve {gold}, untouched bases {base}")
    raise SystemExit(1 if problems else 0)


@app.command("card")
def card(
    tasks: Annotated[Path, typer.Argument(help="A file of tasks.")],
    results: Annotated[
        list[Path] | None,
        typer.Option(help="A folder of `agent eval`, for the pass rates (repeatable)."),
    ] = None,
    label: Annotated[
        Path | None, typer.Option(help="Write the tasks with their measured difficulty here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print what a file of tasks holds, and write it beside the file."""
    with reported(as_json=as_json):
        from rich.console import Console

        from agent.evaluate.report import pass_rates
        from agent.evaluate.results import Result
        from agent.tasks.card import labelled, make_card, markdown, table
        from agent.tasks.instance import read_instances, write_instances, write_text

        instances, bad = read_instances(tasks)
        rates = pass_rates(
            Result.model_validate_json(line)
            for folder in results or ()
            for line in _text(folder / "results.jsonl").split("\n")
            if line.endswith("}")
        )
        made = make_card(instances, rates)
        write_text(tasks.with_suffix(".card.md"), markdown(made))
        write_text(tasks.with_suffix(".card.json"), made.model_dump_json(indent=2) + "\n")
        if label is not None:
            write_instances(label, labelled(instances, rates))
        if as_json:
            print(made.line())
        else:
            Console().print(table(made))
        for row in bad:
            print(f"{tasks}:{row.line}: {row.instance_id} {row.problem}", file=sys.stderr)


def _make_one(
    recipe: Recipe, settings: Any, work: Path, jobs: int, silent: bool, held_out: bool
) -> tuple[list[Instance], Funnel]:
    from agent.tasks.make import make_tasks
    from agent.ui.counted import count_bar

    with count_bar(recipe.repo, silent=silent) as show:
        return make_tasks(
            recipe,
            settings,
            work,
            jobs=jobs,
            held_out=held_out,
            on_trial=lambda f: show(f.kept, f.wanted, f"({f.tried} tried)"),
            on_line=_note(silent),
        )


def _reworded(instances: list[Instance], settings: Any, silent: bool) -> list[Instance]:
    """The tasks with issues written by a policy, where what it writes gives nothing away."""
    from agent.tasks.issue.reword import reword
    from agent.ui.counted import count_bar
    from agent.ui.download import download_bar
    from policies.choose import open_policy

    with download_bar(silent=silent) as on_download:
        policy = open_policy(settings.model, on_download=on_download)
    with count_bar("issues", silent=silent) as show:
        made = []
        try:
            for number, instance in enumerate(instances, 1):
                made.append(reword(policy, instance))
                show(number, len(instances), "")
        finally:
            policy.close()
    return made


def _write(
    output: Path,
    instances: list[Instance],
    problems: list[Problem],
    as_json: bool,
    funnels: list[Funnel],
    expected: str | None = None,
) -> None:
    from rich.console import Console

    from agent.tasks.card import make_card, markdown, table
    from agent.tasks.instance import digest_of, write_instances, write_text
    from agent.tasks.report import report

    made = report(str(output), digest_of(instances), instances, problems, funnels)
    if not instances:
        if as_json:
            print(made.line())
        raise SystemExit(Status.ENVIRONMENT.exit_code)
    write_instances(output, instances)
    card = make_card(instances)
    write_text(output.with_suffix(".card.md"), markdown(card))
    write_text(output.with_suffix(".card.json"), card.model_dump_json(indent=2) + "\n")
    write_text(output.with_suffix(".report.json"), made.model_dump_json(indent=2) + "\n")
    if expected is not None and made.sha256 != expected:
        raise AgentError(
            f"{output} is not what the manifest expects (sha256 {made.sha256})",
            "Another version of Python or of a package gives other messages.",
        )
    if as_json:
        print(made.line())
        return
    Console().print(table(card))
    print(f"{len(instances)} tasks in {output}, sha256 {digest_of(instances)}", file=sys.stderr)


def _problem(repo: str, error: Exception, *, silent: bool) -> Problem:
    """A repository's failure, said at once and kept for the report."""
    from agent.tasks.problems import Problem, told

    _note(silent)(f"agent: {repo}: {printable(told(error))}")
    return Problem(where=repo, problem=told(error))


def _settings(**overrides: Any) -> Any:
    from agent.config import load_settings
    from agent.workspace import check_sandbox

    settings = load_settings(None, overrides)
    check_sandbox(settings)
    return settings


def _families(names: list[str] | None) -> tuple[str, ...]:
    if not names:
        return ()
    _need("libcst")
    from agent.tasks.mutate import FAMILIES

    if wrong := [name for name in names if name not in FAMILIES]:
        raise UsageError(f"there is no family {wrong[0]!r}", f"Families: {', '.join(FAMILIES)}.")
    return tuple(names)


def _need(module: str) -> None:
    import importlib.util

    if importlib.util.find_spec(module) is None:
        raise AgentError(
            f"{module} is not installed", "Run `pip install 'apprentice-agent[eval]'`."
        )


def _absolute(repo: str) -> str:
    path = Path(repo).expanduser()
    return str(path.resolve()) if path.exists() else repo


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def _note(silent: bool) -> Callable[[str], None]:
    def note(text: str) -> None:
        if not silent:
            print(text, file=sys.stderr, flush=True)

    return note
