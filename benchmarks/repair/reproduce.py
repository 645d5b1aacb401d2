"""How well the policy writes a failing test from an issue alone, and what comes of it.

    python benchmarks/repair/reproduce.py TASKS.jsonl --split dev --limit 20

Solves each task by its issue, without its failing tests, by search alone; then runs every test that
the policy wrote on the known fix: one that was accepted and passes there is right. A run that was
stopped goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

from evaluation import evaluate, parser
from pydantic import BaseModel, ConfigDict

from agent.actions import parse_text
from agent.config import load_settings
from agent.evaluate.results import Result
from agent.evaluate.score import environment_of
from agent.reproduce import runnable
from agent.tasks.environment import with_environment
from agent.tasks.instance import Instance, read_instances
from agent.tasks.journal import Journal
from agent.tasks.tree import capture_of, patched
from agent.workspace import make_workspace
from policies.experience.events import Event, Observed, Sampled
from policies.experience.store import Store
from tools.edit import CREATE_FILE
from tools.sandbox.base import File

SEARCH = {"APPRENTICE_STRATEGIES": "search"}


class Try(BaseModel):
    """A test that the policy wrote: if it was accepted, why, and if it passes on the known fix."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    accepted: bool
    why: str
    passes: bool


class Tries(BaseModel):
    """The tests of a trajectory."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trajectory: str
    tries: tuple[Try, ...]


def main() -> int:
    """Evaluate what has not been evaluated, then print what came of it."""
    options = parser(__doc__, "reproduce", seconds=240.0).parse_args()
    results = evaluate(options, options.out, "--variant", "issue", env=SEARCH)
    by_id = {row.instance_id: row for row in read_instances(options.tasks)[0]}
    scored = [row for row in results if row.resolved is not None and row.trajectory]
    journal = Journal(options.out / "reproductions.jsonl", Tries)
    done = {row.trajectory: row for row in journal.rows()}
    with Store.open(options.out / "experience.db") as store:
        for result in scored:
            if result.trajectory not in done:
                events = list(store.events(result.trajectory))
                found = tuple(written(by_id[result.instance_id], events, options.sandbox))
                done[result.trajectory] = Tries(trajectory=result.trajectory, tries=found)
                journal.append(done[result.trajectory])
    report([(row, done[row.trajectory].tries) for row in scored])
    return 0


def written(instance: Instance, events: Sequence[Event], sandbox: str) -> Iterator[Try]:
    """The tests of a trajectory, in the order in which they were written."""
    settings = load_settings(None, {"sandbox": sandbox})
    own = with_environment(settings, environment_of(instance))
    capture = capture_of(instance, "issue")
    files = patched(capture.files, instance.patch)
    fixed = make_workspace(replace(capture, files=files), own)
    text = ""
    for event in events:
        if isinstance(event, Sampled) and event.phase == "reproduce":
            text = event.text
        elif isinstance(event, Observed) and event.tool == "reproduction":
            action = parse_text(text, [CREATE_FILE]).arguments
            file = File(str(action["path"]), runnable(str(action["content"])).encode())
            with fixed.with_file(file).fresh() as box:
                run = fixed.test(box, (file.path,))
            passes = bool(run.outcomes) and not run.failing and run.complete
            yield Try(accepted=event.ok, why=event.text, passes=passes)


def report(rows: Sequence[tuple[Result, Sequence[Try]]]) -> None:
    """Print how often tests are accepted, how often they are right, and what was solved."""
    accepted = [tries for _, tries in rows if any(t.accepted for t in tries)]
    right = [tries for tries in accepted if next(t for t in tries if t.accepted).passes]
    every = [t for _, tries in rows for t in tries]
    solved = sum(bool(result.resolved) for result, _ in rows)
    print(f"| tasks | a test accepted | of them right | solved |\n|{'---|' * 4}")
    print(f"| {len(rows)} | {len(accepted)} | {len(right)} | {solved} |")
    print(f"\n{len(every)} tests written, {sum(t.passes for t in every)} of them pass on the fix")
    for result, tries in rows:
        told = "; ".join(f"{t.why[:70]}, {'passes' if t.passes else 'fails'} after" for t in tries)
        print(f"{result.instance_id}: {result.failure} [{told}]")


if __name__ == "__main__":
    sys.exit(main())
