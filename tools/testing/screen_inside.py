"""Runs inside the sandbox: many edits of a few functions against a few tests, in forked processes.

Standalone: standard library and pytest only, Python 3.8 and later. The tests are collected once;
for each edit a child is forked, functions get their new code, and tests run until it is plain
whether the edit helps. That costs milliseconds where a run of pytest costs a second. What comes out
is a hint for whom to test properly: code under test can write what it likes here.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import tempfile
import threading
import time
import types
import warnings
from functools import partial
from typing import Any

CPU_FACTOR, CPU_MARGIN = 4, 0.3
PATIENCE = 3
TRACED_SECONDS = 2.0
NOTED_SECONDS, COMPARED_SECONDS = 5.0, 3.0
TRACERS = (threading.settrace, sys.settrace)
PROFILERS = (threading.setprofile, sys.setprofile)
GREEN = ("passed", "xfailed", "xpassed")


class Screen:
    """The pytest plugin that takes the place of the run."""

    def __init__(self, settings: dict[str, Any], ours: dict[str, Any], fd: int) -> None:
        self.settings, self.ours, self.fd = settings, ours, fd
        self.starter, self.swap, self.children = ours["pytest"], ours["swap"], ours["children"]
        self.root = os.path.realpath(os.getcwd())
        more = {test for tests in settings["others"].values() for test in tests}
        more.update(settings["voters"])
        self.selection = self.starter.Selection([*settings["probes"], *sorted(more)], [])
        self.deadline = time.monotonic() + settings["seconds"]
        self.reports: list[Any] = []
        self.items: dict[str, Any] = {}
        self.functions: list[Any] = []
        self.tracer = self.starter.Tracer(self.starter.Places(self.root))
        self.fresh: Any = None
        self.clean: list[int] = []
        self.swapped: dict[int, Any] = {}
        self.at_import: set[tuple[str, str, int]] = set()
        self.cpu_seconds = float(settings["per_edit"])

    def emit(self, kind: str, **fields: Any) -> None:
        """Write one record."""
        data = (self.settings["mark"] + json.dumps(dict(fields, t=kind)) + "\n").encode()
        while data:
            data = data[os.write(self.fd, data) :]

    def pytest_addoption(self, parser: Any) -> None:
        self.starter.accept_absent(parser)

    def pytest_sessionstart(self, session: Any) -> None:
        self.selection.start(session.config)

    def ignored(self, path: str) -> bool | None:
        """True for what need not be collected."""
        return self.selection.ignored(path)  # type: ignore[no-any-return]

    def pytest_collection_modifyitems(self, session: Any, config: Any, items: list[Any]) -> None:
        items[:] = [item for item in items if self.selection.asked_for(item.nodeid)]

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.reports.append(report)

    def pytest_runtestloop(self, session: Any) -> bool:
        """Serve the job instead of running the tests."""
        if self.fresh is not None:
            self.run_fresh(session)
            return True
        self.items = {item.nodeid: item for item in session.items}
        probes = [t for t in self.settings["probes"] if t in self.items]
        self.emit("collected", probes=probes)
        if not probes:
            return True
        self.at_import = {place(code) for code in self.tracer.stop()}
        gc.collect()
        self.functions = self.swap.live_functions()
        gc.freeze()
        if self.settings["lines"]:
            more = [test for tests in self.settings["others"].values() for test in tests]
            self.trace([t for t in dict.fromkeys([*probes, *more]) if t in self.items])
        if self.settings["edits"]:
            self.try_edits(probes)
            self.compare(probes)
        return True

    def trace(self, tests: list[str]) -> None:
        """Run the tests once in a child and tell which lines of the files each of them runs."""
        files = {os.path.join(self.root, path): path for path in self.settings["lines"]}

        def work(answer: Any) -> None:
            lines: dict[str, set[int]] = {}

            def local(frame: types.FrameType, event: str, argument: Any) -> Any:
                if event == "line":
                    lines.setdefault(files[frame.f_code.co_filename], set()).add(frame.f_lineno)
                return local

            def called(frame: types.FrameType, event: str, argument: Any) -> Any:
                name = frame.f_code.co_filename
                if name not in files:
                    return None
                lines.setdefault(files[name], set()).add(frame.f_lineno)
                return local

            for test in tests:
                lines.clear()
                outcome = self.watched(test, called, TRACERS)
                found = {path: sorted(numbers) for path, numbers in lines.items()}
                answer({"test": test, "outcome": outcome, "lines": found})

        left = self.deadline - time.monotonic()
        for record in self.children.alone(work, min(left, self.settings["trace_seconds"])):
            self.emit("lines", **record)

    def watched(self, test: str, function: Any, setters: Any) -> str:
        """The outcome of a test that a function watches, failed when it takes long.

        `setters` say in which threads it watches, and what.
        """

        def late(number: int, frame: Any) -> None:
            import pytest

            pytest.fail("this takes too long to be watched")

        signal.signal(signal.SIGALRM, late)
        signal.setitimer(signal.ITIMER_REAL, TRACED_SECONDS)
        for watch in setters:
            watch(function)
        outcome = self.run(test)
        for watch in setters:
            watch(None)
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        return outcome

    def try_edits(self, probes: list[str]) -> None:
        """Try the untouched code and then each edit, a few at a time."""
        jobs = self.jobs(probes)
        running: list[Any] = []
        workers = self.workers()
        exhausted = False
        while running or not exhausted:
            alone = any(child.number < 0 for child in running)
            late = time.monotonic() >= self.deadline
            while not (exhausted or alone or late) and len(running) < workers:
                job = next(jobs, None)
                if job is None:
                    exhausted = True
                    break
                number, work = job
                limit = self.settings["per_edit"] * (PATIENCE if self.settings["patient"] else 1)
                running.append(self.children.fork(number, work, limit))
                if number < 0:
                    break
            if time.monotonic() >= self.deadline:
                exhausted = True
            for child in self.children.ended(running):
                running.remove(child)
                records = child.records
                verdict = next((record for record in records if "clean" in record), None)
                hurried = child.number < 0 and not self.settings["patient"]
                if hurried and verdict and "cpu" in verdict:
                    spent = CPU_FACTOR * verdict["cpu"] + CPU_MARGIN
                    self.cpu_seconds = min(self.cpu_seconds, spent)
                passed = [r["test"] for r in records if r.get("ok")]
                clean = verdict["clean"] if verdict else None
                self.emit("tried", n=child.number, passed=passed, clean=clean)
                if child.number >= 0 and verdict and verdict["clean"]:
                    self.clean.append(child.number)
                    exhausted = exhausted or len(self.clean) >= self.settings["wanted"]

    def workers(self) -> int:
        """How many children run at a time: each counts with the pages that it shares."""
        with open("/proc/self/statm") as file:
            own = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return max(1, min(len(os.sched_getaffinity(0)), int(self.settings["memory"] // (2 * own))))

    def compare(self, probes: list[str]) -> None:
        """Tell what the functions do, untouched (twice) and with each of the clean edits."""
        swaps = {number: self.swapped[number] for number in self.clean if number in self.swapped}
        left = self.deadline - time.monotonic()
        if len(swaps) < 2 or left <= 0:
            return
        functions = list(dict.fromkeys(f for pairs in swaps.values() for f, _ in pairs))
        symbols = {self.settings["edits"][number]["symbol"] for number in swaps}
        others = [t for symbol in sorted(symbols) for t in self.settings["others"].get(symbol, ())]
        tests = [test for test in dict.fromkeys([*probes, *others]) if test in self.items]
        behaviour, children = self.ours["behaviour"], self.children
        noting = behaviour.noting(functions, tests, partial(self.watched, setters=PROFILERS))
        records = children.alone(noting, min(left, NOTED_SECONDS))
        inputs = behaviour.noted(records, len(functions))
        if not any(inputs):
            return
        places = {id(function): n for n, function in enumerate(functions)}
        varied = self.ours["perturb"].varied
        for number, pairs in [(-1, []), (-1, []), *swaps.items()]:
            left = self.deadline - time.monotonic()
            work = behaviour.answering(pairs, functions, inputs, varied)
            records = children.alone(work, min(left, COMPARED_SECONDS))
            if not records and number < 0:
                return
            own = sorted({places[id(function)] for function, _ in pairs})
            for record in records:
                self.emit("behaves", n=number, own=own, answers=record.get("answers"))

    def jobs(self, probes: list[str]) -> Any:
        """The untouched code as number -1, then the edits that make another program.

        Edits of what runs at import come last.
        """
        yield -1, self.trying([], probes, [])
        sources: dict[str, Any] = {}
        seen = set()
        cold = []
        for number, edit in enumerate(self.settings["edits"]):
            if time.monotonic() >= self.deadline:
                return
            path = os.path.join(self.root, edit["path"])
            try:
                if path not in sources:
                    sources[path] = self.swap.Source(path)
                    sources[path].find_functions(self.functions)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    new = edit["text"].encode()
                    swaps = sources[path].swaps(edit["start"], edit["end"], new)
            except self.swap.Cold:
                self.emit("cold", n=number)
                cold.append(number)
                continue
            except SyntaxError:
                self.emit("broken", n=number)
                continue
            except (ValueError, OSError, RecursionError, MemoryError):
                self.emit("void", n=number)
                continue
            meaning = self.swap.meaning(swaps)
            if not swaps or meaning in seen:
                self.emit("void" if swaps else "idle", n=number)
                continue
            seen.add(meaning)
            others = [t for t in self.settings["others"].get(edit["symbol"], ()) if t in self.items]
            if any(place(function.__code__) in self.at_import for function, _ in swaps):
                self.emit("cold", n=number)
                cold.append(number)
            self.swapped[number] = swaps
            yield number, self.trying(swaps, probes, others)
        for number in () if self.clean else cold:
            edit = self.settings["edits"][number]
            source = sources[os.path.join(self.root, edit["path"])]
            whole = (
                source.data[: edit["start"]] + edit["text"].encode() + source.data[edit["end"] :]
            )
            yield number, self.importing(source.path, whole)

    def trying(self, swaps: Any, probes: list[str], others: list[str]) -> Any:
        """The work of a child: all probes, and when they pass the other tests until one fails."""

        def work(answer: Any) -> None:
            for function, code in swaps:
                function.__code__ = code
            if swaps:
                signal.signal(signal.SIGPROF, signal.SIG_DFL)
                signal.setitimer(signal.ITIMER_PROF, self.cpu_seconds)
            good = True
            for test in probes:
                ok = self.run(test) == "passed"
                answer({"test": test, "ok": ok})
                good = good and ok
            if not swaps:
                answer({"clean": good, "cpu": time.process_time()})
                return
            signal.setitimer(signal.ITIMER_PROF, self.cpu_seconds + self.settings["others_seconds"])
            good = good and all(self.run(test) in GREEN for test in others)
            answer({"clean": good})
            signal.setitimer(signal.ITIMER_PROF, self.cpu_seconds + self.settings["others_seconds"])
            for test in self.settings["voters"] if good else ():
                answer({"test": test, "ok": test in self.items and self.run(test) == "passed"})

        return work

    def importing(self, path: str, source: bytes) -> Any:
        """The work of a child that imports everything anew, with other bytes for one file."""

        def work(answer: Any) -> None:
            import importlib.machinery

            import pytest

            loader: Any = importlib.machinery.SourceFileLoader
            get_data = loader.get_data

            def other(self: Any, wanted: str) -> bytes:
                if wanted.endswith(".pyc"):
                    raise OSError(wanted)
                data: bytes = source if wanted == path else get_data(self, wanted)
                return data

            loader.get_data = other
            inside = self.root + os.sep
            for name, module in list(sys.modules.items()):
                if str(getattr(module, "__file__", None) or "").startswith(inside):
                    del sys.modules[name]
            again = dict(self.settings, others={}, edits=[], lines=[], voters=[])
            runner = type(self)(again, self.ours, -1)
            runner.fresh = answer
            given = self.starter.arguments(again, tempfile.mkdtemp(), "--tb=no", "--capture=sys")
            pytest.main(given, plugins=[runner])

        return work

    def run_fresh(self, session: Any) -> None:
        """Run the probes of a session of its own, and tell what came of them."""
        self.items = {item.nodeid: item for item in session.items}
        good = True
        for test in self.settings["probes"]:
            ok = test in self.items and self.run(test) == "passed"
            self.fresh({"test": test, "ok": ok})
            good = good and ok
        self.fresh({"clean": good})

    def run(self, test: str) -> str:
        """The outcome of one test."""
        item = self.items[test]
        self.reports = []
        item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
        return str(self.starter.aggregate(self.reports)[0])


def place(code: types.CodeType) -> tuple[str, str, int]:
    """Where a function stands."""
    return (code.co_filename, code.co_name, code.co_firstlineno)


def main() -> int:
    """Serve the job that stands on standard input."""
    settings = json.load(sys.stdin)
    fd = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    spec_path = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [folder for folder in sys.path if os.path.abspath(folder or ".") != spec_path]
    ours = {name: load(path, f"{name}_inside") for name, path in settings["ours"].items()}
    starter = ours["pytest"]
    sys.path.insert(0, os.getcwd())
    import pytest

    screen = starter.ignoring(pytest, Screen)(settings, ours, fd)
    cache = tempfile.mkdtemp(prefix="pytest-cache-")
    given = starter.arguments(settings, cache, "--tb=no", "--capture=sys")
    screen.tracer.start()
    return int(pytest.main(given, plugins=[screen]))


def load(path: str, name: str) -> Any:
    """A module by its path."""
    module = types.ModuleType(name)
    module.__file__ = path
    with open(path, "rb") as file:
        exec(compile(file.read(), path, "exec"), module.__dict__)  # noqa: S102 - our own files
    return module


if __name__ == "__main__":
    sys.exit(main())
