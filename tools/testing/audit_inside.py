"""Runs inside the sandbox: hears what code of the workspace does to find out about its judge.

Standalone, standard library only, Python 3.8 and later; `pytest_inside.py` loads it by its path
before any code of the workspace. Nobody can remove an audit hook. While it works it hears nothing,
so it runs no method of the objects that it is handed: they may be of any class.
"""

from __future__ import annotations

import _thread
import os
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any

COLLECTED = "apprentice.collected"
NO_FILE = "code without a file"
LIMIT = 100
LIBRARY, MACHINERY, TEST, CODE = "library", "machinery", "test", "code"
FRAME_OF = frozenset({"tb_frame", "gi_frame", "cr_frame", "ag_frame"})
IMPORTERS = frozenset({"exec_module", "load_module", "_load", "_load_unlocked", "_find_and_load"})
PRINTERS = frozenset(
    {
        *("traceback.print_exc", "traceback.print_exception", "traceback.print_tb"),
        *("traceback.format_exc", "traceback.format_exception", "traceback.format_tb"),
        *("warnings._showwarnmsg", "_py_warnings._showwarnmsg"),
    }
)
CHANGING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
DIRECTLY: frozenset[str] = frozenset()
STACK = frozenset({"inspect", "traceback", "logging.currentframe", "logging.<lambda>"})
"""What may lie between the code and `sys._getframe`. Of logging one function alone returns it."""
SIMPLE: dict[str, tuple[str, frozenset[str] | None]] = {
    "sys._getframe": ("looks at stack frames", STACK),
    "sys._current_frames": ("looks at stack frames", STACK),
    "sys._current_exceptions": ("looks at stack frames", STACK),
    "gc.get_objects": ("hunts for objects", DIRECTLY),
    "gc.get_referrers": ("hunts for objects", DIRECTLY),
    "gc.get_referents": ("hunts for objects", DIRECTLY),
    "sys.settrace": ("traces the run", None),
    "sys.setprofile": ("traces the run", None),
    "sys.monitoring.register_callback": ("traces the run", None),
    "sys.addaudithook": ("adds an audit hook", DIRECTLY),
    **{
        "ctypes." + name: ("uses ctypes", frozenset({"ctypes"}))
        for name in (
            *("addressof", "call_function", "cdata", "cdata/buffer", "dlopen", "dlsym"),
            *("dlsym/handle", "string_at", "wstring_at", "PyObj_FromPtr"),
        )
    },
    **{
        name: ("ends or signals processes", frozenset({"os"}))
        for name in ("os.kill", "os.killpg", "os.exec", "signal.pthread_kill")
    },
    "signal.pidfd_send_signal": ("ends or signals processes", DIRECTLY),
}
SIGNALS = {"os.kill", "os.killpg", "signal.pthread_kill", "signal.pidfd_send_signal"}
real, stat, fspath, readlink = os.path.realpath, os.stat, os.fspath, os.readlink
getframe, ident = sys._getframe, _thread.get_ident


class Places:
    """What a piece of code is by its file: a library, what imports and runs tests, a test, code."""

    def __init__(self, root: str, own: str) -> None:
        self.root, self.own = real(root) + os.sep, real(own) + os.sep
        self.standard = real(os.path.dirname(os.__file__)) + os.sep
        paths = [path for path in sys.path if os.path.isabs(path)]
        roots = {
            real(path) + os.sep
            for path in (sys.prefix, sys.base_prefix, sys.exec_prefix, *paths)
            if path not in paths or not self.below(real(path)) or path.endswith("-packages")
        }
        self.libraries = (self.standard, *(p for p in roots if not self.root.startswith(p)))
        self.codes: dict[int, tuple[types.CodeType, str, str]] = {}
        self.files: dict[str, tuple[str, str]] = {}
        self.held: dict[tuple[int, int], str] = {}
        self.suites: set[str] = set()
        self.made: set[str] = set()

    def below(self, path: str) -> bool:
        """Whether a real path is in the workspace."""
        return (path + os.sep).startswith(self.root)

    def collected(self, files: Mapping[str, bool]) -> None:
        """Note the files that tests come from, and which of them hold nothing but tests."""
        for path, suite in files.items():
            full = real(path)
            name = full[len(self.root) :]
            if self.below(full):
                found = stat(full)
                self.held[found.st_dev, found.st_ino] = name
                if suite:
                    self.suites.add(name)

    def of(self, code: types.CodeType) -> tuple[str, str]:
        """The kind of a piece of code, and its path or the name of its module."""
        known = self.codes.get(id(code))
        if known is not None and known[0] is code:
            return known[1], known[2]
        kind, name = self.of_file(exact(code.co_filename) or "")
        function = exact(code.co_name) or ""
        if kind == LIBRARY:
            named = f"{name}.{function}"
            if name == "runpy" or (name.startswith("importlib") and function in IMPORTERS):
                kind = MACHINERY
            elif named in STACK or named in PRINTERS:
                name = named
        if len(self.codes) > 50_000:
            self.codes.clear()
        self.codes[id(code)] = (code, kind, name)
        return kind, name

    def of_file(self, path: str) -> tuple[str, str]:
        """The same for a file; a file that is nowhere that libraries are has no name."""
        found = self.files.get(path)
        if found is None:
            if len(self.files) > 50_000:
                self.files.clear()
            found = self.files[path] = self.look_up(path)
        return found

    def look_up(self, path: str) -> tuple[str, str]:
        if path.startswith("<"):
            if path.startswith("<frozen "):
                return LIBRARY, path[8:].rstrip(">")
            return (TEST, path) if path.startswith("<doctest ") else (CODE, NO_FILE)
        full = real(path)
        if full.startswith(self.own):
            return MACHINERY, ""
        if full.startswith(self.standard) and "-packages" + os.sep not in full:
            name = full[len(self.standard) :].rpartition(".")[0].replace(os.sep, ".")
            return LIBRARY, name[: -len(".__init__")] if name.endswith(".__init__") else name
        if full.startswith(self.libraries):
            return LIBRARY, ""
        if not self.below(full):
            return CODE, NO_FILE
        return (TEST if holds_tests(full) else CODE), full[len(self.root) :]

    def actor(self, frame: Any, through: frozenset[str] | None) -> str | None:
        """The first code of the workspace outwards, with none but these libraries in between."""
        between: list[str] = []
        while frame is not None:
            kind, name = self.of(frame.f_code)
            if kind == CODE:
                printed = through is None and not PRINTERS.isdisjoint(between)
                return None if printed or name in self.suites else name
            if kind != LIBRARY or (through is not None and name not in through):
                return None
            between.append(name)
            frame = frame.f_back
        return None

    def test_file(self, path: str, changes: bool) -> str | None:
        """The file of tests that a path means, if it is none that the run itself has made."""
        if holds_tests(path):
            full = real(path)
            if not self.below(full) or full in self.made or full.startswith(self.libraries):
                return None
            name = full[len(self.root) :]
            if os.path.exists(full):
                return name
            if changes and name not in self.held.values():
                self.made.add(full)
            return None
        if not self.held:
            return None
        try:
            found = stat(path)
        except (OSError, ValueError):
            return None
        return self.held.get((found.st_dev, found.st_ino))

    def folder_of_tests(self, path: str) -> str | None:
        """A file of tests below a path."""
        full = real(path) + os.sep
        below = (name for name in self.held.values() if (self.root + name).startswith(full))
        return min(below, default=None)


def exact(value: Any) -> str | None:
    """The text of a path or a name, whatever its class does."""
    if issubclass(type(value), str):
        return str.__str__(value)
    return value.decode("utf-8", "surrogateescape") if type(value) is bytes else None


def holds_tests(path: str) -> bool:
    """Whether a file of this name, or the source of this bytecode, holds tests or fixtures."""
    stem, _, suffix = path.rpartition("/")[2].partition(".")
    if suffix != "py" and not suffix.endswith("pyc"):
        return False
    return stem.startswith("test_") or stem.endswith("_test") or stem == "conftest"


def at(path: Any, folder: Any) -> str | None:
    """A path as seen from an open folder."""
    name = exact(path)
    if name is None or name.startswith("/") or type(folder) is not int or folder < 0:
        return name
    return readlink(f"/proc/self/fd/{folder}") + "/" + name


class Ear:
    """What to make of each event."""

    def __init__(self, places: Places, emit: Callable[..., None], reporter: types.CodeType) -> None:
        self.places, self.emit, self.reporter = places, emit, reporter
        self.told: set[tuple[str, str]] = set()

    def tell(self, what: str, by: str | None) -> None:
        if by is not None and (what, by) not in self.told and len(self.told) < LIMIT:
            self.told.add((what, by))
            self.emit("does", what=what, by=by)

    def simple(self, event: str) -> Callable[[Any, tuple[Any, ...]], None]:
        """For an event that says all by its name. Signal 0 only asks whether a process is there."""
        what, through = SIMPLE[event]
        signals = event in SIGNALS

        def heard(frame: Any, args: tuple[Any, ...]) -> None:
            if not (signals and type(args[1]) is int and args[1] == 0):
                self.tell(what, self.places.actor(frame, through))

        return heard

    def attribute(self, frame: Any, args: tuple[Any, ...]) -> None:
        by = self.places.actor(frame, DIRECTLY)
        if by is None or args[1] != "__code__":
            self.tell("looks at stack frames", by)
            return
        kind, name = self.places.of_file(
            exact(dict.get(args[0].__globals__, "__file__")) or NO_FILE
        )
        if kind == TEST or name in self.places.suites:
            self.tell(f"reads the code of {name}", by)

    def opened(self, frame: Any, args: tuple[Any, ...]) -> None:
        path, flags = exact(args[0]), args[2]
        if path is None:
            return
        changes = type(flags) is int and flags & CHANGING != 0
        if "proc/" in path:
            plain = os.path.normpath(path).replace("//", "/")
            if plain.startswith("/proc/") and (changes or is_memory_or_stream(plain)):
                self.tell("reaches into processes", self.places.actor(frame, None))
        name = self.places.test_file(path, changes)
        if name is not None:
            self.touched(frame, name, changes)

    def touched(self, frame: Any, name: str, changes: bool) -> None:
        by = self.places.actor(frame, None)
        if by != name:
            self.tell(f"{'changes' if changes else 'reads'} {name}", by)

    def moved(self, frame: Any, args: tuple[Any, ...]) -> None:
        """Two paths, of which either may be a test's."""
        folders = args[2:] if len(args) == 4 else (-1, -1)
        for path, folder in zip(args, folders):  # noqa: B905 - Python 3.8
            self.changed(frame, (path, folder))

    def linked(self, frame: Any, args: tuple[Any, ...]) -> None:
        """A symbolic link: its target as seen from its own place."""
        source, new = exact(args[0]), at(args[1], args[2])
        if source is not None and new is not None:
            self.changed(frame, (os.path.join(os.path.dirname(new), source),))
            self.changed(frame, (new,))

    def changed(self, frame: Any, args: tuple[Any, ...]) -> None:
        path = at(args[0], args[1] if len(args) == 2 else -1)
        if path is None:
            return
        name = self.places.test_file(path, changes=True) or self.places.folder_of_tests(path)
        if name is not None:
            self.touched(frame, name, changes=True)

    def truncated(self, frame: Any, args: tuple[Any, ...]) -> None:
        self.changed(frame, args[:1])

    def compiled(self, frame: Any, args: tuple[Any, ...]) -> None:
        """Code under a name that is not its own would be taken for a library's or a test's."""
        name = exact(args[1])
        if name is not None and self.places.of_file(name)[0] != CODE:
            self.tell("gives code a false name", self.places.actor(frame, DIRECTLY))

    def collected(self, frame: Any, args: tuple[Any, ...]) -> None:
        if frame.f_code is self.reporter:
            self.places.collected(args[0])


def is_memory_or_stream(path: str) -> bool:
    """Whether it is a process's memory or one of its open files."""
    parts = path.split("/")
    return parts[-1] == "mem" or parts[-2] == "fd"


def install(root: str, own: str, emit: Callable[..., None], reporter: types.CodeType) -> None:
    """Listen from now on.

    `root` is the workspace, `own` the folder of the programs that run the tests, `emit` takes the
    kind and the fields of a record, and `reporter` is the code that says by the event COLLECTED,
    with the paths of what has been collected and whether they hold Python tests.
    """
    ear = Ear(Places(root, own), emit, reporter)
    table = {event: ear.simple(event) for event in SIMPLE}
    table.update(
        {
            "open": ear.opened,
            "object.__getattr__": ear.attribute,
            "os.rename": ear.moved,
            "os.link": ear.moved,
            "os.symlink": ear.linked,
            "os.remove": ear.changed,
            "os.truncate": ear.truncated,
            "shutil.rmtree": ear.truncated,
            "compile": ear.compiled,
            "code.__new__": ear.compiled,
            COLLECTED: ear.collected,
        }
    )
    find, attribute, opened = table.get, table["object.__getattr__"], table["open"]
    function = types.FunctionType
    busy: set[int] = set()

    def hook(event: str, args: tuple[Any, ...]) -> None:
        handle = find(event)
        if handle is None:
            return
        try:
            if handle is attribute:
                name = args[1]
                if name == "__code__":
                    if type(args[0]) is not function or not args[0].__name__.startswith("test"):
                        return
                elif name not in FRAME_OF:
                    return
            me = ident()
            if me in busy:
                return
            if handle is opened and type(args[0]) not in (str, bytes, int):
                args = (fspath(args[0]), *args[1:])
            try:
                busy.add(me)
                handle(getframe(1), args)
            finally:
                busy.discard(me)
        except Exception:  # noqa: S110 - what is heard must go on
            pass

    sys.addaudithook(hook)
