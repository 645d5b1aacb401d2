"""How many completions of a local model were lost to their form, or cut off.

    python benchmarks/repair/lost.py FOLDER [FOLDER ...]

A folder is one that `agent eval`, `agent rollout` or a benchmark wrote: it holds `experience.db`.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from agent.actions import FormatError, parse_text
from agent.thoughts import CRITIQUE, PLAN
from policies.experience.events import Event, Sampled
from policies.experience.store import Store
from tools.edit import CREATE_FILE, EDIT_SYMBOL

TOOLS = {"plan": PLAN, "critique": CRITIQUE, "edit": EDIT_SYMBOL, "reproduce": CREATE_FILE}
MOST = 1_000_000
LINES = "a line, or lines for a gap"


def main() -> int:
    """Print a table over all trajectories of the folders."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("folders", nargs="+", type=Path)
    counts: Counter[tuple[str, str]] = Counter()
    for folder in parser.parse_args().folders:
        with Store.open(folder / "experience.db") as store:
            for row in store.trajectories(limit=MOST):
                count(store.events(row.id), counts)
    print("| asked for | completions | cut off | not in the form |\n|---|---|---|---|")
    for kind in sorted({kind for kind, _ in counts}):
        told = [counts[kind, what] for what in ("", "cut off", "malformed")]
        print(f"| {kind} | {sum(told):,} | {told[1]:,} | {told[2]:,} |")
    return 0


def count(events: Iterable[Event], counts: Counter[tuple[str, str]]) -> None:
    """Count a local model's completions, by what was asked for and what became of them."""
    for event in events:
        if isinstance(event, Sampled) and event.completion_ids and not event.tool_calls:
            kind = LINES if event.group and event.phase == "edit" else str(event.phase)
            kind += "" if event.grammar else ", without a grammar"
            counts[kind, outcome(event)] += 1


def outcome(event: Sampled) -> str:
    """What a completion was lost to; empty for one that was not."""
    if event.finish_reason == "length":
        return "cut off"
    tool = None if event.group else TOOLS.get(str(event.phase))
    try:
        if tool is not None:
            parse_text(event.text, [tool])
    except FormatError:
        return "malformed"
    return ""


if __name__ == "__main__":
    sys.exit(main())
