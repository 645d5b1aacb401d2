"""Run another agent on our tasks, with our local model, each task in a jail without network.

python benchmarks/peers/run.py TASKS.jsonl --peer aider --model qwen2.5-coder-1.5b --out DIR
then: agent eval TASKS.jsonl --predictions DIR/predictions.jsonl
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import checkout
from aider import AIDER
from mini import MINI
from peer import Peer, Question, installed
from record import Folder, run_of
from sandbox import CHECKOUT, Ended, Endpoint, Jail, endpoint_socket, run

from agent.evaluate.score import environment_of
from agent.status import AgentError
from agent.tasks.environment import environment_folder
from agent.tasks.instance import EnvironmentSetup, Instance, read_instances
from agent.tasks.tree import visible_files
from tools.sandbox.base import File, SandboxError

PEERS = {peer.name: peer for peer in (MINI, AIDER)}
CONTEXT_TOKENS = 16384
START_SECONDS, STOP_SECONDS = 20.0, 10.0


@dataclass(frozen=True)
class Bench:
    """What all tasks of a run share: `port` and `endpoint` lead to `model` while it is `served`."""

    peer: Peer
    venv: Path
    model: str
    port: int
    endpoint: Endpoint
    served: Callable[[], bool]
    seconds: float
    folder: Folder


def main() -> int:
    """Write a prediction for each task that has none yet."""
    options = _parser().parse_args()
    try:
        _run(options)
    except AgentError as error:
        raise SystemExit(f"{error}. {error.hint}") from error
    return 0


def _run(options: argparse.Namespace) -> None:
    rows, bad = read_instances(options.tasks)
    for row in bad:
        print(f"line {row.line} is no task: {row.problem}", file=sys.stderr)
    wanted = options.ids.split(",") if options.ids else [row.instance_id for row in rows]
    chosen = [row for row in rows if row.instance_id in wanted][: options.limit]
    peer = PEERS[options.peer]
    now = run_of(
        peer,
        chosen,
        model=options.model,
        seconds=options.seconds,
        threads=options.threads,
        context_tokens=CONTEXT_TOKENS,
    )
    folder = Folder(options.out, now)
    left = [row for row in chosen if row.instance_id not in folder.rows]
    print(f"{len(left)} tasks to do, {len(chosen) - len(left)} done before", file=sys.stderr)
    if not left:
        return
    venv = installed(peer, options.work)
    with (
        _served(options.model, options.threads) as (port, model, served),
        endpoint_socket(port) as endpoint,
    ):
        work(Bench(peer, venv, model, port, endpoint, served, options.seconds, folder), left)


def work(bench: Bench, instances: Sequence[Instance]) -> None:
    """Solve the tasks one by one; one that cannot be set up is left out.

    Raises SystemExit when the endpoint or the peer itself is broken: that is no peer's failure.
    """
    for number, instance in enumerate(instances, 1):
        try:
            line = solve(bench, instance)
        except (AgentError, SandboxError, OSError, RuntimeError) as error:
            line = f"left out: {error}"
        print(f"[{number}/{len(instances)}] {instance.instance_id}: {line}", file=sys.stderr)


def solve(bench: Bench, instance: Instance) -> str:
    """Let the peer work on a task and note its patch; returns a line about it."""
    files = visible_files(instance)
    setup = environment_of(instance)
    question = question_of(instance, setup, files, bench.model, bench.port)
    with tempfile.TemporaryDirectory(prefix="peers-", ignore_cleanup_errors=True) as name:
        folder = Path(name) / "checkout"
        folder.mkdir()
        checkout.make(files, folder)
        jail = Jail(
            checkout=folder,
            environments=(environment_folder(setup), bench.venv),
            endpoint=bench.endpoint.socket,
            port=bench.port,
            env={**source_path(files), **bench.peer.env(question)},
            files=bench.peer.files(question),
        )
        argv = [str(bench.venv / "bin" / "python"), *bench.peer.argv(question)]
        ended = _ran(bench, jail, argv, f"{instance.instance_id}.log")
        patch = "" if ended.killed_by == "disk" else checkout.diff(files, folder)
    _note(bench, instance, patch, ended)
    how = f"killed at the limit of {ended.killed_by}" if ended.killed_by else f"exit {ended.exit}"
    return f"{how} after {ended.seconds:.0f} s, a patch of {len(patch)} bytes"


def _ran(bench: Bench, jail: Jail, argv: Sequence[str], name: str) -> Ended:
    """Run the peer. Raises SystemExit when it had no model, or could not start."""
    log = bench.folder.path / "logs" / name
    log.parent.mkdir(parents=True, exist_ok=True)
    before = bench.endpoint.connections
    if not bench.served():
        raise SystemExit(f"{bench.model} is served no longer; start again to go on")
    ended = run(jail, argv, bench.seconds, log)
    if not bench.served():
        raise SystemExit(f"{bench.model} is served no longer; start again to repeat this task")
    if ended.exit and ended.seconds < START_SECONDS and bench.endpoint.connections == before:
        raise SystemExit(
            f"{bench.peer.name} ended with exit {ended.exit} and never asked the model: see {log}"
        )
    return ended


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
        issue=instance.problem_statement.strip(),
        test_command=command,
        model=model,
        url=f"http://127.0.0.1:{port}/v1",
        context_tokens=CONTEXT_TOKENS,
    )


@contextmanager
def _served(model: str, threads: int | None) -> Iterator[tuple[int, str, Callable[[], bool]]]:
    """`agent models serve` while the context lasts: its port, the name to ask for, if it lives."""
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
            yield port, ready["model"], lambda: process.poll() is None
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _note(bench: Bench, instance: Instance, patch: str, ended: Ended) -> None:
    row = {
        "instance_id": instance.instance_id,
        "model_name_or_path": f"{bench.peer.requirement}+{bench.model}",
        "model_patch": patch,
        "seconds": round(ended.seconds, 1),
        "exit": ended.exit,
        "killed_by": ended.killed_by,
    }
    bench.folder.note(row)


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
