"""How fast the model writes while sandboxed work keeps all cores busy.

    python benchmarks/contention.py [--runs N] [--model NAME] [--json]

Decoding alone, beside a busy loop per core in a sandbox, and beside the same loops as ordinary
processes, in turn. In one solve, generation and tests take turns; this is two solves at once.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from policies.base import Message, Policy, Sampling
from policies.choose import open_policy
from tools.sandbox.base import File, Limits, SandboxError, Spec
from tools.sandbox.choose import open_sandbox

SECONDS = 600
LOOP = "while True: pass"


@contextmanager
def sandboxed(kind: str) -> Iterator[None]:
    """Busy loops in a sandbox, one per core."""
    script = f"for _ in $(seq {os.cpu_count()}); do python3 -c '{LOOP}' & done; wait"
    with open_sandbox(kind, [File("a", b"")], Spec(limits=Limits(wall_seconds=SECONDS))) as sandbox:

        def run() -> None:
            with suppress(SandboxError):
                sandbox.run(["sh", "-c", script], timeout=SECONDS)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield


@contextmanager
def ordinary() -> Iterator[None]:
    """The same loops without a sandbox."""
    loops = [subprocess.Popen([sys.executable, "-c", LOOP]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


@contextmanager
def idle() -> Iterator[None]:
    """Nothing else."""
    yield


def speed(policy: Policy, seed: int) -> float:
    """Tokens per second over one completion of 48 tokens."""
    prompt = [Message(role="user", content="Count from one to one hundred in words.")]
    done = policy.sample(prompt, 1, Sampling(temperature=0.5, max_tokens=48, seed=seed))[0]
    return done.usage.completion / done.seconds


def main() -> None:
    """Measure in turn, report medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    kinds = {"alone": idle, "bubblewrap": lambda: sandboxed("bubblewrap"), "ordinary": ordinary}
    speeds: dict[str, list[float]] = {name: [] for name in kinds}
    policy = open_policy(options.model, context_tokens=1024)
    try:
        speed(policy, 0)
        for run in range(options.runs):
            for name, load in kinds.items():
                with load():
                    speeds[name].append(speed(policy, run))
    finally:
        policy.close()
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    if options.json:
        print(json.dumps({"runs": options.runs, "tokens_per_second": medians}))
        return
    for name, value in medians.items():
        print(f"{name:<12} {value:6.1f} tokens/s  {value / medians['alone']:.2f} of alone")


if __name__ == "__main__":
    main()
