"""Bugs in a repository, tried in parallel, kept if they make a task. What was tried is kept too."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path

from agent.config import Settings
from agent.repository import Capture
from agent.status import UsageError
from agent.tasks.baseline import Baseline, take_baseline
from agent.tasks.build import build, is_plain
from agent.tasks.candidates import candidates, covering_tests
from agent.tasks.environment import declared, pinned, with_environment
from agent.tasks.heldout.generate import held_out_patch
from agent.tasks.instance import EnvironmentSetup, Instance
from agent.tasks.issue.describe import normalised
from agent.tasks.journal import Journal
from agent.tasks.mutate import Mutation
from agent.tasks.recipe import Recipe
from agent.tasks.sources import Source, fetch
from agent.tasks.tree import ROOT
from agent.tasks.trial import Outcome, Trial, limited, try_bug
from agent.verify.outcomes import test_files
from agent.verify.protected import is_protected
from agent.workspace import Workspace, make_workspace

NOT_SOURCE = ("setup.py", "docs/*", "doc/*", "examples/*", "benchmarks/*")
RULES = "2"
"""Changed with what a trial is decided by, so that older ones are not taken for new ones."""

OnTrial = Callable[["Funnel"], None]


@dataclass
class Funnel:
    """How many bugs were tried, and what became of them. Seconds are wall time."""

    repo: str
    wanted: int
    tried: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    test_seconds: float = 0.0
    tests: int = 0
    flaky: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()

    @property
    def kept(self) -> int:
        """Bugs that became tasks."""
        return self.outcomes[Outcome.KEPT]


@dataclass(frozen=True)
class Prepared:
    """A repository ready for bugs."""

    source: Source
    setup: EnvironmentSetup
    workspace: Workspace
    baseline: Baseline


def prepare(recipe: Recipe, settings: Settings, on_line: Callable[[str], None]) -> Prepared:
    """Fetch the repository, make its environment, and find the tests to rely on.

    Raises AgentError, SandboxError.
    """
    source = fetch(recipe.repo, recipe.commit)
    setup = pinned(recipe.setup(declared(source.files)))
    own = with_environment(settings, setup, on_line)
    tree = Capture(ROOT / "source", source.commit, dirty=False, files=source.files)
    workspace = make_workspace(tree, own, on_line)
    return Prepared(source, setup, workspace, take_baseline(workspace))


def make_tasks(
    recipe: Recipe,
    settings: Settings,
    kept: Path,
    *,
    jobs: int = 1,
    held_out: bool = False,
    on_trial: OnTrial = lambda _: None,
    on_line: Callable[[str], None] = lambda _: None,
) -> tuple[list[Instance], Funnel]:
    """Tasks of one repository, the same for the same recipe whatever ran in parallel.

    Trials are recorded in the folder `kept` and not made again. With `held_out` tests that nobody
    is shown are added where some come out. Raises AgentError, SandboxError.
    """
    begun = time.monotonic()
    ready = prepare(recipe, settings, on_line)
    funnel = Funnel(
        recipe.repo,
        recipe.limit,
        tests=len(ready.baseline.stable),
        flaky=ready.baseline.flaky,
        failing=ready.baseline.failing,
    )
    on_trial(funnel)
    sources = _sources(ready, recipe.exclude)
    planned = islice(
        candidates(sources, ready.baseline.run, recipe.seed, recipe.families), recipe.candidates
    )
    instances: list[Instance] = []
    behaviours: set[str] = set()
    with closing(Trials(kept, ready).run(planned, jobs)) as tried:
        for mutation, trial in tried:
            outcome = trial.outcome
            if outcome is Outcome.KEPT:
                behaviour = _behaviour(mutation, trial)
                instance = _instance(ready, mutation, trial, recipe)
                if behaviour in behaviours:
                    outcome = Outcome.SAME_BEHAVIOUR
                elif instance is None:
                    outcome = Outcome.UNTOLD
                else:
                    behaviours.add(behaviour)
                    instances.append(instance)
            funnel.tried += 1
            funnel.outcomes[outcome] += 1
            funnel.test_seconds += trial.seconds
            funnel.seconds = time.monotonic() - begun
            on_trial(funnel)
            if len(instances) == recipe.limit:
                break
    funnel.seconds = time.monotonic() - begun
    if not instances:
        why = ", ".join(f"{count} × {end}" for end, count in funnel.outcomes.most_common())
        raise UsageError(
            f"none of {funnel.tried} bugs makes a task ({why or 'no test reaches the code'})",
            "Try more --candidates, or name other tests with --test-cmd.",
        )
    if held_out:
        with ThreadPoolExecutor(jobs) as pool:
            instances = list(pool.map(lambda made: _with_held_out(ready, made), instances))
    return instances, funnel


def _with_held_out(ready: Prepared, instance: Instance) -> Instance:
    patch = held_out_patch(ready.workspace, instance)
    return instance.model_copy(update={"held_out_patch": patch})


def _sources(ready: Prepared, exclude: Sequence[str]) -> dict[str, bytes]:
    tests = test_files(ready.baseline.run.outcomes)
    return {
        file.path: file.data
        for file in ready.source.files
        if file.path.endswith(".py")
        and is_plain(file)
        and not is_protected(file.path, tests)
        and not any(fnmatchcase(file.path, pattern) for pattern in (*NOT_SOURCE, *exclude))
    }


def _instance(ready: Prepared, mutation: Mutation, trial: Trial, recipe: Recipe) -> Instance | None:
    failures = {test: told.failure() for test, told in trial.failures.items()}
    return build(
        ready.source,
        ready.setup,
        mutation,
        trial.lost,
        ready.baseline.stable,
        failures,
        recipe.licence,
    )


def _behaviour(mutation: Mutation, trial: Trial) -> str:
    """What can be seen of a bug: two that cannot be told apart are one."""
    told = sorted((test, normalised(f.message)) for test, f in trial.failures.items())
    seen = json.dumps([mutation.path, mutation.symbol, trial.lost, told])
    return hashlib.sha256(seen.encode()).hexdigest()


class Trials:
    """Trials in a pool of threads (each waits for a sandbox), recorded as they end."""

    def __init__(self, folder: Path, ready: Prepared) -> None:
        self.ready = ready
        self.workspace = limited(ready.workspace, ready.baseline)
        self.files = {file.path: file for file in ready.source.files}
        self.journal = Journal(folder / f"{self._key()}.jsonl", Trial)
        self.done = {trial.mutation: trial for trial in self.journal.rows()}

    def _key(self) -> str:
        ready = self.ready
        limit = ready.workspace.test_timeout
        parts = [RULES, ready.source.repo, ready.source.commit, ready.setup.model_dump_json()]
        parts += [str(limit), *self.workspace.shown_command, *ready.baseline.stable]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def run(
        self, planned: Iterator[Mutation], jobs: int
    ) -> Generator[tuple[Mutation, Trial], None, None]:
        """Each bug with its trial, in order; at most twice `jobs` are ahead.

        Closing it waits for the trials that have begun.
        """
        ahead: deque[tuple[Mutation, Future[Trial]]] = deque()
        with ThreadPoolExecutor(jobs) as pool:
            try:
                for mutation in planned:
                    ahead.append((mutation, pool.submit(self._trial, mutation)))
                    if len(ahead) >= 2 * jobs:
                        yield _ended(*ahead.popleft())
                while ahead:
                    yield _ended(*ahead.popleft())
            finally:
                for _, future in ahead:
                    future.cancel()

    def _trial(self, mutation: Mutation) -> Trial:
        if mutation.id in self.done:
            return self.done[mutation.id]
        original = self.files[mutation.path]
        file = dataclasses.replace(original, data=mutation.apply(original.data))
        covering = covering_tests(self.ready.baseline.run, mutation)
        trial = try_bug(self.workspace, self.ready.baseline, mutation.id, file, covering)
        self.journal.append(trial)
        return trial


def _ended(mutation: Mutation, future: Future[Trial]) -> tuple[Mutation, Trial]:
    return mutation, future.result()
