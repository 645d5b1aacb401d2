"""Runs inside the sandbox: pytest as `python -m pytest`, with a plugin that reports by test id.

Standalone: standard library and pytest only, Python 3.8 and later. The records are JSON lines
on a pipe to the supervisor; what tests print goes elsewhere and cannot disturb them.
"""

from __future__ import annotations

import faulthandler
import importlib.util
import json
import os
import signal
import sys
import tempfile
import threading
import time
import types
from typing import Any

NUDGE = getattr(signal, "SIGRTMIN", signal.SIGUSR1) + (9 if hasattr(signal, "SIGRTMIN") else 0)
DUMP = NUDGE + 1
LONGREPR, CAPTURED, MESSAGE, DETAILED = 6000, 2000, 300, 100
encode, write, own_pid = json.JSONEncoder().encode, os.write, os.getpid
audit = sys.audit
COMPREHENSIONS = {"<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>"}
FOREIGN = ("site-packages", "dist-packages", ".venv", "node_modules")

_ABSENT = (
    ("pytest_cov", "--cov", "--cov-report", "--cov-config", "--cov-fail-under", "--cov-context"),
    ("xdist", "-n", "--numprocesses", "--dist", "--maxprocesses"),
    ("pytest_timeout", "--timeout", "--timeout-method"),
)
_ABSENT_FLAGS = (("pytest_cov", "--cov-branch", "--cov-append", "--no-cov", "--no-cov-on-fail"),)


def cut(text: str, limit: int) -> str:
    """The text with its middle left out above a limit."""
    if len(text) <= limit:
        return text
    head = limit // 3
    left_out = len(text) - limit
    return f"{text[:head]}\n[... {left_out} characters cut ...]\n{text[head - limit :]}"


class Places:
    """Which files belong to the workspace."""

    def __init__(self, root: str) -> None:
        self.root = os.path.realpath(root)
        self.known: dict[str, str | None] = {}

    def relative(self, filename: str) -> str | None:
        """The path below the workspace, None for anything else."""
        if filename not in self.known:
            path = os.path.realpath(filename)
            inside = path.startswith(self.root + os.sep) and path.endswith(".py")
            short = path[len(self.root) + 1 :] if inside else None
            if short is not None and any(p in FOREIGN for p in short.split(os.sep)):
                short = None
            self.known[filename] = short
        return self.known[filename]


class Selection:
    """Which files and tests are wanted: all, or those of the given ids and files."""

    def __init__(self, only: list[str], broken: list[str]) -> None:
        self.only: set[str] | None = set(only) if only else None
        self.broken = {os.path.realpath(p) for p in broken}
        self.wanted: set[str] | None = None

    def start(self, config: Any) -> None:
        """Find the files of the ids, once pytest knows its root."""
        root = str(getattr(config, "rootpath", None) or config.rootdir)
        if self.only is not None:
            files = {i.split("::", 1)[0] for i in self.only}
            self.wanted = {os.path.realpath(os.path.join(root, f)) for f in files}

    def ignored(self, path: str) -> bool | None:
        """True for what need not be collected, None to leave the decision to others."""
        real = os.path.realpath(path)
        if real in self.broken:
            return True
        if self.wanted is None or real in self.wanted or os.path.basename(real) == "__init__.py":
            return None
        if os.path.isdir(real):
            start = real.rstrip(os.sep) + os.sep
            return None if any(w.startswith(start) for w in self.wanted) else True
        return True

    def asked_for(self, test: str) -> bool:
        """Whether a test is wanted by its id, or with its whole file."""
        return self.only is None or test in self.only or test.split("::", 1)[0] in self.only


class Tracer:
    """Which functions of the workspace run. Cheap: a function is looked at once for each test."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.hit: dict[int, types.CodeType] = {}
        self.numbers: dict[int, int] = {}
        self.alive: list[types.CodeType] = []
        self.tool: int | None = None

    def start(self) -> None:
        """Begin for one test."""
        self.hit = {}
        monitoring = getattr(sys, "monitoring", None)
        if monitoring is None:
            threading.settrace(self.called)
            sys.settrace(self.called)
        elif self.tool is None:
            for tool in (4, 3, 2):
                if monitoring.get_tool(tool) is None:
                    monitoring.use_tool_id(tool, "calls")
                    self.tool = tool
                    break
            else:
                return
            start = monitoring.events.PY_START
            monitoring.register_callback(self.tool, start, self.started)
            monitoring.set_events(self.tool, start)
        else:
            monitoring.restart_events()

    def stop(self) -> list[types.CodeType]:
        """End for one test: the functions that ran."""
        if not hasattr(sys, "monitoring"):
            sys.settrace(None)
            threading.settrace(None)
        hit, self.hit = list(self.hit.values()), {}
        return [c for c in hit if self.places.relative(c.co_filename) is not None]

    def called(self, frame: types.FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if id(code) not in self.hit:
            self.hit[id(code)] = code

    def started(self, code: types.CodeType, offset: int) -> Any:
        self.hit[id(code)] = code
        return sys.monitoring.DISABLE  # type: ignore[attr-defined,unused-ignore]

    def number(self, code: types.CodeType, emit: Any) -> int:
        """A number for a function, described to the reader on first use."""
        key = id(code)
        if key not in self.numbers:
            self.alive.append(code)
            self.numbers[key] = len(self.numbers)
            name = getattr(code, "co_qualname", code.co_name)
            path = self.places.relative(code.co_filename)
            emit("code", n=self.numbers[key], path=path, name=name, line=code.co_firstlineno)
        return self.numbers[key]


class Reporter:
    """The pytest plugin."""

    def __init__(self, settings: dict[str, Any], fd: int, guarding: Any) -> None:
        self.fd, self.pid = fd, own_pid()
        self.mark = settings["mark"].encode()
        self.lock = threading.RLock()
        self.per_test = settings["per_test"]
        self.selection = Selection(settings["only"], settings["broken"])
        self.done = set(settings["done"])
        self.places = Places(os.getcwd())
        self.guard = guarding.Guard(self.places.root, self.places.relative, self.patched)
        self.guard.prepare()
        self.tracer = Tracer(self.places) if settings["trace"] else None
        self.reports: dict[str, list[Any]] = {}
        self.details: dict[str, dict[str, Any]] = {}
        self.hung: set[str] = set()
        self.detailed = 0
        self.options: Any = None
        self.current: str | None = None
        self.armed = False
        self.began = time.monotonic()

    def emit(self, kind: str, **fields: Any) -> None:
        """Write one record, unless this is a process that a test has forked."""
        if own_pid() != self.pid:
            return
        data = self.mark + encode(dict(fields, t=kind)).encode() + b"\n"
        with self.lock:
            while data:
                data = data[write(self.fd, data) :]

    def patched(self, what: str, how: str, by: str) -> None:
        """Tell that something which decides results is no longer what it was."""
        self.emit("patched", what=what, how=how, by=by)

    def nudged(self, number: int, frame: Any) -> None:
        """A test has taken too long: fail it where it is."""
        import pytest

        limit = self.per_test * (1 if self.current is not None else 4)
        if not self.armed or time.monotonic() - self.began < limit * 0.9:
            return
        if self.current is not None:
            self.hung.add(self.current)
        pytest.fail(f"hung: still running after {limit:g} s")

    def pytest_addoption(self, parser: Any) -> None:
        """Accept the options of common plugins that are configured but not installed.

        This is called after pytest's own plugins are imported, and before any other.
        """
        own = (*type(self).__mro__[:-1], Selection, type(self.guard))
        self.guard.note(own, (NUDGE, DUMP))
        accept_absent(parser)

    def pytest_sessionstart(self, session: Any) -> None:
        self.options = session.config.option
        self.selection.start(session.config)

    def ignored(self, path: str) -> bool | None:
        """True for what need not be collected, None to leave the decision to others."""
        return self.selection.ignored(path)

    def pytest_collectstart(self, collector: Any) -> None:
        self.began, self.armed = time.monotonic(), True
        path = getattr(collector, "path", None) or getattr(collector, "fspath", None)
        if path is not None and os.path.isfile(str(path)):
            self.emit("collecting", path=str(path))

    def pytest_collectreport(self, report: Any) -> None:
        self.armed = False
        if report.failed:
            name = (report.nodeid or "<session>") + " (collection)"
            detail = self.details.pop("c" + report.nodeid, {})
            text = str(report.longrepr or "")
            message = detail.get("message") or one_line(text)
            detail.update(message=message, longrepr=cut(text, LONGREPR))
            hung = "hung: still running" in message
            self.emit("end", id=name, outcome="hung" if hung else "error", seconds=0, **detail)

    def pytest_collection_modifyitems(self, session: Any, config: Any, items: list[Any]) -> None:
        keep = [
            i for i in items if i.nodeid not in self.done and self.selection.asked_for(i.nodeid)
        ]
        if len(keep) < len(items):
            chosen = {id(i) for i in keep}
            config.hook.pytest_deselected(items=[i for i in items if id(i) not in chosen])
            items[:] = keep

    def pytest_collection_finish(self, session: Any) -> None:
        self.armed = False
        self.emit("collected", ids=[i.nodeid for i in session.items])
        audit("apprentice.collected", files_of(session.items))
        modules = {id(m): m for m in (getattr(i, "module", None) for i in session.items)}
        self.guard.note_tests(list(modules.values()))
        self.look(session.config.pluginmanager)

    def look(self, plugins: Any) -> None:
        """Look at all that a lie would replace."""
        self.guard.look()
        self.guard.look_at_plugins(plugins)
        self.guard.look_at_object("the reporter", self)

    def pytest_runtest_logstart(self, nodeid: str, location: Any) -> None:
        self.current, self.began = nodeid, time.monotonic()
        self.reports.pop(nodeid, None)
        self.emit("start", id=nodeid)

    def phase(self, item: Any) -> Any:
        """Around setup, call and teardown: the time in which a test may be interrupted."""
        if self.tracer is not None:
            self.tracer.start()
        self.armed = True
        yield
        self.armed = False
        if self.tracer is not None:
            codes = self.tracer.stop()
            calls = getattr(item, "_calls", None)
            if calls is None:
                calls = item._calls = {}
            calls.update((id(c), c) for c in codes)
            self.details.setdefault(item.nodeid, {})["codes"] = calls

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.reports.setdefault(report.nodeid, []).append(report)

    def pytest_exception_interact(self, node: Any, call: Any, report: Any) -> None:
        error = call.excinfo.value if call.excinfo else None
        if error is None:
            return
        collecting = not hasattr(report, "when") or report.when == "collect"
        key = ("c" if collecting else "") + report.nodeid
        if collecting and error.__cause__ is not None:
            error = error.__cause__
        detail: dict[str, Any] = {"frames": self.frames(error), "exception": type(error).__name__}
        if collecting:
            detail["message"] = one_line(f"{type(error).__name__}: {error}")
        if isinstance(error, ModuleNotFoundError) and error.name:
            detail["module"] = error.name
        self.details.setdefault(key, {}).update(detail)

    def frames(self, error: BaseException) -> list[tuple[str, int, str]]:
        """Frames within the workspace: those of the causes first, those of the error last."""
        own = self.frames_of(error)
        own = own[:30] + own[-30:] if len(own) > 60 else own
        earlier: list[tuple[str, int, str]] = []
        link = error
        for _ in range(4):
            hidden = link.__suppress_context__
            cause = link.__cause__ or (None if hidden else link.__context__)
            if cause is None:
                break
            link = cause
            found = [f for f in self.frames_of(link) if f not in own and f not in earlier]
            earlier = found + earlier
        return earlier[len(earlier) - min(len(earlier), 60 - len(own)) :] + own

    def frames_of(self, error: BaseException) -> list[tuple[str, int, str]]:
        """Frames of one error, causes aside; of a syntax error also its place."""
        found: list[tuple[str, int, str]] = []
        trace = error.__traceback__
        while trace is not None:
            code = trace.tb_frame.f_code
            path = self.places.relative(code.co_filename)
            frame = (path or "", trace.tb_lineno, getattr(code, "co_qualname", code.co_name))
            if path is not None and frame not in found:
                found.append(frame)
            trace = trace.tb_next
        if isinstance(error, SyntaxError) and error.filename:
            path = self.places.relative(error.filename)
            if path is not None:
                found.append((path, error.lineno or 1, "<module>"))
        return found

    def pytest_runtest_logfinish(self, nodeid: str, location: Any) -> None:
        self.current = None
        reports = self.reports.pop(nodeid, [])
        if any(r.outcome == "rerun" for r in reports):
            return
        detail = self.details.pop(nodeid, {})
        codes = detail.pop("codes", None)
        outcome, decisive = aggregate(reports)
        if nodeid in self.hung:
            outcome = "hung"
        fields: dict[str, Any] = {"seconds": round(sum(r.duration for r in reports), 4)}
        if decisive is not None:
            fields.update(self.describe(decisive, detail))
        elif outcome == "hung":
            fields["message"] = "hung, but caught the interruption"
        if codes is not None and self.tracer is not None:
            numbers = [
                self.tracer.number(c, self.emit)
                for c in codes.values()
                if c.co_name not in COMPREHENSIONS
            ]
            fields["calls"] = numbers
        self.guard.glance()
        self.emit("end", id=nodeid, outcome=outcome, **fields)

    def describe(self, report: Any, detail: dict[str, Any]) -> dict[str, Any]:
        """What to tell of a failure; later failures of a long list are told in one line.

        pytest forms no more then either: for each it parses the whole test file again, and at the
        end it goes through all reports.
        """
        text = str(report.longrepr or "")
        crash = getattr(report.longrepr, "reprcrash", None)
        fields = dict(detail, message=one_line(crash.message if crash is not None else text))
        self.detailed += 1
        if self.detailed == DETAILED:
            self.options.tbstyle = "line"
        if self.detailed <= DETAILED:
            fields["longrepr"] = cut(text, LONGREPR)
            sections = [s for s in report.sections if s[0].startswith("Captured")]
            captured = "\n".join(f"[{head}]\n{body}" for head, body in sections)
            fields["captured"] = cut(captured, CAPTURED)
        return fields

    def pytest_sessionfinish(self, session: Any, exitstatus: Any) -> None:
        self.armed = False
        self.look(session.config.pluginmanager)


def aggregate(reports: list[Any]) -> tuple[str, Any]:
    """The outcome of a test by the reports of its phases, and the report that decides."""
    outcome, decisive = "", None
    for report in reports:
        xfail = hasattr(report, "wasxfail")
        if report.outcome == "failed":
            found = "failed" if report.when == "call" else "error"
            if outcome not in ("failed", "error"):
                outcome, decisive = found, report
        elif outcome in ("failed", "error") or report.outcome == "rerun":
            continue
        elif report.outcome == "skipped":
            sub = type(report).__name__ == "SubtestReport"
            outcome = outcome if sub else ("xfailed" if xfail else "skipped")
        elif report.when == "call" and outcome != "skipped":
            outcome = "xpassed" if xfail else "passed"
    return outcome or "error", decisive


def one_line(text: str) -> str:
    """The text in one line, cut at its end."""
    line = " ".join(text.split())
    return line if len(line) <= MESSAGE else line[: MESSAGE - 1] + "\u2026"


def present(module: str) -> bool:
    """Whether a module is installed."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def accept_absent(parser: Any) -> None:
    """Accept the options of common plugins that are configured but not installed."""
    group = parser.getgroup("absent plugins")
    for table, how in (
        (_ABSENT, {"action": "append", "nargs": "?"}),
        (_ABSENT_FLAGS, {"action": "store_true"}),
    ):
        for module, *names in table:
            if not present(module):
                for name in names:
                    destination = "absent_" + name.strip("-").replace("-", "_")
                    try:
                        group._addoption(name, dest=destination, **how)
                    except ValueError:
                        continue


def files_of(items: list[Any]) -> dict[str, bool]:
    """The files of tests, and whether one holds Python tests and not the examples of its code."""
    import pytest

    found: dict[str, bool] = {}
    for item in items:
        path = str(getattr(item, "path", None) or item.fspath)
        found[path] = found.get(path, False) or isinstance(item, pytest.Function)
    return found


def module_at(path: str) -> Any:
    """A module that code under test cannot import by a name."""
    spec = importlib.util.spec_from_file_location("guarding", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def plugin(pytest: Any, settings: dict[str, Any], fd: int, guard: Any) -> Reporter:
    """The reporter with the hooks whose form depends on pytest's version."""
    wrapper = pytest.hookimpl(hookwrapper=True, tryfirst=True)

    class Plugin(Reporter):
        @wrapper  # type: ignore[untyped-decorator,unused-ignore]
        def pytest_runtest_setup(self, item: Any) -> Any:
            yield from self.phase(item)

        @wrapper  # type: ignore[untyped-decorator,unused-ignore]
        def pytest_runtest_call(self, item: Any) -> Any:
            yield from self.phase(item)

        @wrapper  # type: ignore[untyped-decorator,unused-ignore]
        def pytest_runtest_teardown(self, item: Any) -> Any:
            yield from self.phase(item)

    return ignoring(pytest, Plugin)(settings, fd, guard)  # type: ignore[no-any-return]


def ignoring(pytest: Any, base: Any) -> Any:
    """The plugin class with the hook that calls its `ignored`, as pytest's version has it."""
    if int(pytest.__version__.split(".")[0]) >= 7:

        class Ignoring(base):  # type: ignore[misc,unused-ignore]
            def pytest_ignore_collect(self, collection_path: Any) -> bool | None:
                return self.ignored(str(collection_path))  # type: ignore[no-any-return]

    else:

        class Ignoring(base):  # type: ignore[misc,no-redef,unused-ignore]
            def pytest_ignore_collect(self, path: Any) -> bool | None:
                return self.ignored(str(path))  # type: ignore[no-any-return]

    return Ignoring


def below(root: str, folder: str) -> bool:
    """Whether a folder of the path belongs to the workspace."""
    real = os.path.realpath(folder or os.curdir)
    return real == os.path.realpath(root) or real.startswith(os.path.realpath(root) + os.sep)


def arguments(settings: dict[str, Any], cache: str, *more: str) -> list[str]:
    """pytest's arguments: the user's, then what makes the run whole and leaves nothing behind."""
    given = list(settings["args"])
    own = ["-q", "--color=no", "--tb=short", "--maxfail=0", "--continue-on-collection-errors"]
    own += ["-o", "cache_dir=" + cache]
    if not os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD"):
        own += ["-n0"] if present("xdist") else []
        own += ["--no-cov"] if present("pytest_cov") else []
        if present("pytest_randomly"):
            own += ["--randomly-seed=1", "--randomly-dont-reorganize"]
    separator = given.index("--") if "--" in given else len(given)
    return given[:separator] + own + list(more) + given[separator:]


def main() -> int:
    """Run pytest once."""
    settings_fd, results_fd = int(sys.argv[1]), int(sys.argv[2])
    with os.fdopen(settings_fd, "rb") as file:
        settings = json.loads(file.read())
    os.set_inheritable(results_fd, False)
    guard = module_at(settings["integrity"])
    path = [os.getcwd(), *sys.path[1:]]
    sys.path[:] = [folder for folder in sys.path[1:] if not below(path[0], folder)]
    try:
        import pytest
    except ImportError as error:
        record = {"t": "nopytest", "error": str(error), "python": sys.version.split()[0]}
        os.write(results_fd, settings["mark"].encode() + json.dumps(record).encode() + b"\n")
        return 4
    reporter = plugin(pytest, settings, results_fd, guard)
    heard = Reporter.pytest_collection_finish.__code__
    here = os.path.dirname(os.path.abspath(__file__))
    module_at(settings["audit"]).install(reporter.places.root, here, reporter.emit, heard)
    sys.path[:] = path
    signal.signal(NUDGE, reporter.nudged)
    faulthandler.register(DUMP, file=2, all_threads=False)
    cache = tempfile.mkdtemp(prefix="pytest-cache-")
    given = arguments(settings, cache)
    sys.argv = [os.path.join(os.path.dirname(pytest.__file__), "__main__.py"), *given]
    code = int(pytest.main(given, plugins=[reporter]))
    reporter.guard.look()
    reporter.emit("finish", exit=code)
    return code


if __name__ == "__main__":
    sys.exit(main())
