"""Run another agent on our tasks, with our local model, each task in a jail without network.

python benchmarks/peers/run.py TASKS.jsonl --peer aider --model qwen2.5-coder-1.5b --out DIR
then: agent eval TASKS.jsonl --predictions DIR/predictions.jsonl
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import checkout
from aider import AIDER
from mini import MINI
from peer import Peer, Question, installed
from sandbox import CHECKOUT, Ended, Jail, endpoint_socket, run

from agent.status import AgentError
from agent.tasks.environment import environment_folder
from agent.tasks.instance import EnvironmentSetup, Instance, read_instances
from agent.tasks.tree import visible_files
from tools.sandbox.base import File

PEERS = {peer.name: peer for peer in (MINI, AIDER)}
CONTEXT_TOKENS = 16384


@dataclass(frozen=True)
class Bench:
    """What all tasks of a run share: `port` and `socket` lead to the endpoint of `model`."""

    peer: Peer
    venv: Path
    model: str
    port: int
    socket: Path
    seconds: float
    out: Path


def main() -> int:
    """Write a prediction for each task that has none yet."""
    options = _parser().parse_args()
    rows, bad = read_instances(options.tasks)
    for row in bad:
        print(f"line {row.line} is no task: {row.problem}", file=sys.stderr)
    wanted = options.ids.split(",") if options.ids else [row.instance_id for row in rows]
    chosen = [row for row in rows if row.instance_id in wanted][: options.limit]
    done = _done(options.out / "predictions.jsonl")
    left = [row for row in chosen if row.instance_id not in done]
    print(f"{len(left)} tasks to do, {len(chosen) - len(left)} done before", file=sys.stderr)
    if not left:
        return 0
    (options.out / "logs").mkdir(parents=True, exist_ok=True)
    peer = PEERS[options.peer]
    venv = installed(peer, options.work)
    with _served(options.model, options.threads) as (port, model), endpoint_socket(port) as socket:
        bench = Bench(peer, venv, model, port, socket, options.seconds, options.out)
        for number, instance in enumerate(left, 1):
            try:
                line = solve(bench, instance)
            except (AgentError, OSError, RuntimeError) as error:
                line = f"left out: {error}"
            print(f"[{number}/{len(left)}] {instance.instance_id}: {line}", file=sys.stderr)
    return 0


def solve(bench: Bench, instance: Instance) -> str:
    """Let the peer work on a task and note its patch; returns a line about it."""
    files = visible_files(instance)
    setup = instance.environment_setup or EnvironmentSetup()
    question = question_of(instance, setup, files, bench.model, bench.port)
    with tempfile.TemporaryDirectory(prefix="peers-", ignore_cleanup_errors=True) as name:
        folder = Path(name) / "checkout"
        folder.mkdir()
        checkout.make(files, folder)
        jail = Jail(
            checkout=folder,
            environments=(environment_folder(setup), bench.venv),
            endpoint=bench.socket,
            port=bench.port,
            env={**source_path(files), **bench.peer.env(question)},
            files=bench.peer.files(question),
        )
        argv = [str(bench.venv / "bin" / "python"), *bench.peer.argv(question)]
        log = bench.out / "logs" / f"{instance.instance_id}.log"
        ended = run(jail, argv, bench.seconds, log)
        patch = checkout.diff(files, folder)
    _note(bench, instance, patch, ended)
    how = "killed at the limit" if ended.exit is None else f"exit {ended.exit}"
    return f"{how} after {ended.seconds:.0f} s, a patch of {len(patch)} bytes"


def source_path(files: Sequence[File]) -> dict[str, str]:
    """Where Python finds the project: its `src` folder, as in our own sandbox."""
    in_src = any(file.path.startswith("src/") and file.path.endswith(".py") for file in files)
    return {"PYTHONPATH": f"{CHECKOUT}/src"} if in_src else {}


def question_of(
    instance: Instance, setup: EnvironmentSetup, files: Sequence[File], model: str, port: int
) -> Question:
    """The task as a peer is told it: the problem statement and how the tests are run."""
    paths = {file.path for file in files}
    tests = sorted({test.partition("::")[0] for test in instance.fail_to_pass} & paths)
    command = shlex.join([*(setup.test_command or "python -m pytest -q").split(), *tests])
    return Question(
        prompt=f"{instance.problem_statement.strip()}\n\nThe tests run with `{command}`.",
        test_command=command,
        model=model,
        url=f"http://127.0.0.1:{port}/v1",
        context_tokens=CONTEXT_TOKENS,
    )


@contextmanager
def _served(model: str, threads: int | None) -> Iterator[tuple[int, str]]:
    """`agent models serve` while the context lasts: its port, and the name to ask for."""
    command = [sys.executable, "-m", "agent", "models", "serve", model, "--port", "0", "--json"]
    command += ["--context-tokens", str(CONTEXT_TOKENS)]
    command += ["--threads", str(threads)] if threads else []
    env = {name: value for name, value in os.environ.items() if name != "APPRENTICE_API_KEY"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        try:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline() or "{}")
            if "url" not in ready:
                raise SystemExit(f"{model} cannot be served: {ready.get('message', 'see above')}")
            port = urlsplit(ready["url"]).port
            assert port is not None
            yield port, ready["model"]
        finally:
            process.send_signal(signal.SIGTERM)


def _done(predictions: Path) -> set[str]:
    if not predictions.exists():
        return set()
    lines = predictions.read_text(encoding="utf-8").splitlines()
    return {json.loads(line)["instance_id"] for line in lines if line.endswith("}")}


def _note(bench: Bench, instance: Instance, patch: str, ended: Ended) -> None:
    row = {
        "instance_id": instance.instance_id,
        "model_name_or_path": f"{bench.peer.requirement}+{bench.model}",
        "model_patch": patch,
        "seconds": round(ended.seconds, 1),
        "exit": ended.exit,
    }
    with (bench.out / "predictions.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("tasks", type=Path)
    parser.add_argument("--peer", choices=sorted(PEERS), required=True)
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    parser.add_argument("--seconds", type=float, default=240, help="wall limit of a task")
    parser.add_argument("--out", type=Path, required=True, help="predictions and logs")
    parser.add_argument("--limit", type=int, help="at most so many tasks")
    parser.add_argument("--ids", help="only these tasks, with commas between")
    parser.add_argument("--threads", type=int, help="of the model")
    parser.add_argument("--work", type=Path, default=Path(".peers"), help="where peers are kept")
    return parser


if __name__ == "__main__":
    sys.exit(main())
