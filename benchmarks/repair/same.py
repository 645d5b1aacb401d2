"""How many of the patches that solved a task are the known fix, by how they were found.

    python benchmarks/repair/same.py TASKS.jsonl FOLDER [FOLDER ...]

A folder is one that `agent eval` wrote. A patch is the known fix when every file comes out as the
same program (equal bytecode; equal bytes in other languages): what passes the tests may still be
another one.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from agent.evaluate.records import RESULTS, SAMPLES, latest
from agent.evaluate.results import Result
from agent.evaluate.sample import Prediction
from agent.tasks.instance import Instance, read_instances
from agent.tasks.journal import Journal
from agent.tasks.tree import patched, sides, visible_files
from policies.experience.events import Acted, Event, Judged, Sampled
from policies.experience.store import Store
from tools.fingerprint import fingerprint

WAYS = ("a small edit", "a small edit that the policy chose", "written by the policy")


def main() -> int:
    """Print the table over all folders."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("tasks", type=Path)
    parser.add_argument("folders", nargs="+", type=Path)
    options = parser.parse_args()
    tasks = {instance.instance_id: instance for instance in read_instances(options.tasks)[0]}
    solved: Counter[str] = Counter()
    same: Counter[str] = Counter()
    for folder in options.folders:
        rows = latest(Journal(folder / RESULTS, Result))
        with Store.open(folder / "experience.db") as store:
            for sample in Journal(folder / SAMPLES, Prediction).rows():
                row = rows.get((sample.instance_id, sample.sample))
                if row is not None and row.resolved:
                    way = found_by(store.events(sample.trajectory))
                    solved[way] += 1
                    same[way] += is_known(tasks[sample.instance_id], sample.patch)
    print("| the patch | solved | the known fix |\n|---|---|---|")
    for way in WAYS:
        print(f"| {way} | {solved[way]} | {same[way]} |")
    return 0


def found_by(events: Iterable[Event]) -> str:
    """How the last attempt came to its patch."""
    way, chose = WAYS[2], False
    for event in events:
        if isinstance(event, Sampled | Judged):
            chose = isinstance(event, Sampled) and event.phase == "choose"
        if isinstance(event, Acted):
            way = WAYS[2] if event.answer or event.tool != "small_edit" else WAYS[chose]
    return way


def is_known(instance: Instance, patch: str) -> bool:
    """Whether a patch makes the same program as the known fix."""
    _, wanted = sides(instance)
    made = {file.path: file.data for file in patched(visible_files(instance), patch)}
    return made.keys() == wanted.keys() and all(
        made[path] == data or (fingerprint(made[path]) or path) == fingerprint(data)
        for path, data in wanted.items()
    )


if __name__ == "__main__":
    sys.exit(main())
