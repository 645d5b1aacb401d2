"""Runs inside the sandbox: notes what a lie about results would replace, and looks at it again.

Standalone, standard library only, Python 3.8 and later; `pytest_inside.py` loads it by its path
before any code of the workspace. Only replacements by code of the workspace, or by something that
has no file, are told: those of pytest, its plugins and libraries are not.
"""

from __future__ import annotations

import functools
import importlib
import os
import signal
import sys
import threading
import types
from collections.abc import Callable
from typing import Any

JUDGES = ("pytest", "_pytest", "pluggy", "unittest")
MODULES = (
    *("builtins", "time", "random", "math", "operator", "json", "json.encoder", "json.decoder"),
    *("re", "os", "posixpath", "sys", "io", "functools", "itertools", "collections", "datetime"),
    *("decimal", "fractions", "threading", "subprocess", "signal", "faulthandler", "warnings"),
    *("unittest", "unittest.case", "importlib", "linecache", "traceback", "inspect"),
)
NOT_WATCHED = {
    "warnings": {"showwarning", "_showwarnmsg_impl", "_showwarnmsg"},
    "sys": {"displayhook", "stdin", "stdout", "stderr", "breakpointhook"},
    "os": {"environ", "environb"},
    "builtins": {"_"},
}
GLANCED = frozenset(
    {
        *("builtins", "time", "os.write", "os._exit", "os.kill", "sys.exit", "json.dumps"),
        *("random.random", "random.Random.random", "unittest.case.TestCase.assertEqual"),
        *("unittest.case.TestCase.run", "_pytest.runner", "_pytest.reports.TestReport"),
        *("_pytest.outcomes", "_pytest.python_api", "_pytest.approx", "_pytest.raises"),
        *("_pytest.python.pytest_pyfunc_call", "_pytest.python.Function"),
        *("pluggy._callers", "pluggy._hooks.HookCaller"),
    }
)
GONE: Any = object()
NO_FILE = "code without a file"
_WRAPPED = (staticmethod, classmethod, types.MethodType)
_CODE = (
    *(
        types.CodeType,
        types.FunctionType,
        types.BuiltinFunctionType,
        types.MethodType,
        types.ModuleType,
        type,
    ),
    *(staticmethod, classmethod, property, functools.partial, types.WrapperDescriptorType),
    *(types.MethodDescriptorType, types.ClassMethodDescriptorType),
)


class Guard:
    """The pristine state, and what has become of it.

    `relative` gives a file's path below the workspace, or None; `tell(what, how, by)` is called
    once for each thing that is found.
    """

    def __init__(
        self,
        root: str,
        relative: Callable[[str], str | None],
        tell: Callable[[str, str, str], None],
    ) -> None:
        self.root, self.relative, self.tell = root, relative, tell
        self.told: set[tuple[str, str, str]] = set()
        self.spaces: list[tuple[str, str, Any, dict[str, Any]]] = []
        self.functions: list[tuple[str, Any, Any, Any, Any]] = []
        self.quick: list[tuple[str, str, Any, str, Any, Any, Any]] = []
        self.seen: set[int] = set()
        self.tests: set[str] = set()
        self.modules: dict[str, types.ModuleType] = {}
        self.handlers: dict[int, Any] = {}
        self.hooks = {name: list(getattr(sys, name)) for name in ("meta_path", "path_hooks")}

    def prepare(self) -> None:
        """Load what is watched, and listen to atexit. Before anything of the workspace."""
        for name in MODULES:
            top = os.path.join(self.root, name.partition(".")[0])
            if name not in sys.modules and not (os.path.isdir(top) or os.path.exists(top + ".py")):
                importlib.import_module(name)
        import atexit

        register = atexit.register

        def listening(function: Any, *args: Any, **kwargs: Any) -> Any:
            by = self.owner(function) or self.owner(sys._getframe(1).f_code)
            if by is not None:
                self.say("exit handler", "registered", by)
            return register(function, *args, **kwargs)

        vars(atexit)["register"] = listening

    def note(self, own: tuple[type, ...], signals: tuple[int, ...]) -> None:
        """Remember what is watched, this program, its `own` classes and who handles `signals`.

        pytest and its own plugins must have been imported.
        """
        names = [n for n in sys.modules if n.partition(".")[0] in JUDGES]
        for name in dict.fromkeys([*MODULES, *names, "__main__"]):
            module = sys.modules.get(name)
            if type(module) is types.ModuleType:
                self.modules[name] = module
                self.note_module(name, module)
        for kind in own:
            self.note_space(kind.__qualname__, "", kind)
        self.handlers = {number: signal.getsignal(number) for number in signals}

    def note_tests(self, modules: list[Any]) -> None:
        """Remember the tests, when all are collected."""
        for module in modules:
            name = getattr(module, "__name__", None)
            if type(module) is types.ModuleType and isinstance(name, str):
                self.tests.add(name)
                self.note_module(name, module)

    def note_module(self, name: str, module: types.ModuleType) -> None:
        self.note_space(name, name, module)
        for key, value in list(vars(module).items()):
            if issubclass(type(value), type) and vars(value).get("__module__") == name:
                self.note_space(f"{name}.{key}", name, value)

    def note_space(self, label: str, module: str, owner: Any) -> None:
        if id(owner) in self.seen:
            return
        self.seen.add(id(owner))
        noted = dict(vars(owner))
        self.spaces.append((label, module, owner, noted))
        glanced = label in GLANCED
        for key, value in noted.items():
            function = value.__func__ if type(value) in (staticmethod, classmethod) else value
            what = f"{label}.{key}"
            code = None
            if type(function) is types.FunctionType and id(function) not in self.seen:
                self.seen.add(id(function))
                code = function.__code__
                defaults, extra = function.__defaults__, function.__kwdefaults__
                self.functions.append(
                    (what, function, code, defaults, dict(extra) if extra else extra)
                )
            if (glanced or what in GLANCED) and is_code(value):
                self.quick.append((what, key, vars(owner), module, value, function, code))

    def glance(self) -> None:
        """After each test: the few things that a lie is likely to replace. Takes microseconds."""
        for what, key, space, module, value, function, code in self.quick:
            now = space.get(key, GONE)
            if now is not value:
                self.judge(what, module, key, value, now)
            elif code is not None and function.__code__ is not code:
                self.judge(what, module, key, code, function.__code__)
        for hooked in (sys, threading):
            for name in ("gettrace", "getprofile"):
                get = getattr(hooked, name, None)
                hook = None if get is None else get()
                by = None if hook is None else self.owner(hook)
                if by is not None:
                    self.say(f"{hooked.__name__}.set{name[3:]} hook", "set", by)

    def look(self) -> None:
        """All of it."""
        self.glance()
        for label, module, owner, noted in self.spaces:
            now = vars(owner)
            for key, value in noted.items():
                if now.get(key, GONE) is not value:
                    self.judge(f"{label}.{key}", module, key, value, now.get(key, GONE))
            if now.keys() - noted.keys():
                self.added(label, module, owner, noted)
        for what, function, code, defaults, extra in self.functions:
            if function.__code__ is not code:
                self.judge(what, "", what.rpartition(".")[2], code, function.__code__)
            elif function.__defaults__ is not defaults or function.__kwdefaults__ != extra:
                self.say(f"the defaults of {what}", "replaced", NO_FILE)
        self.look_at_modules()
        for name, pristine in self.hooks.items():
            for entry in getattr(sys, name):
                by = self.owner(entry)
                if by is not None and not any(entry is old for old in pristine):
                    self.say(f"sys.{name} entry", "added", by)
        for number, handler in self.handlers.items():
            now = signal.getsignal(number)
            if now != handler:
                self.judge(f"handler of signal {number}", "", "", handler, now)

    def look_at_modules(self) -> None:
        """Modules swapped for others, and the standard library's loaded from the workspace."""
        for name, module in self.modules.items():
            now = sys.modules.get(name, module)
            if now is not module:
                self.judge(f"module {name}", "", "", module, now)
        names = getattr(sys, "stdlib_module_names", frozenset(MODULES)) | frozenset(JUDGES)
        for name in names & sys.modules.keys():
            by = self.owner(sys.modules[name])
            if by is not None:
                self.say(f"module {name}", "replaced", by)

    def look_at_plugins(self, manager: Any) -> None:
        """Hooks that code of the workspace has taken, conftest files aside, and who calls hooks."""
        for name, caller in list(vars(manager.hook).items()):
            if name.startswith("_"):
                continue
            if type(caller).__module__.partition(".")[0] not in ("pluggy", "_pytest"):
                self.say(f"hook {name}", "replaced", self.origin(caller) or NO_FILE)
                continue
            for one in caller.get_hookimpls():
                by = self.origin(one.function)
                if by and os.path.basename(by) != "conftest.py":
                    self.say("plugin", "registered", by)
        execute = getattr(manager, "_inner_hookexec", None)
        by = self.owner(execute)
        if by is not None:
            self.say("the caller of hooks", "replaced", by)

    def look_at_object(self, label: str, owner: Any) -> None:
        """Methods that an object has been given in the place of its class's."""
        for name, value in list(vars(owner).items()):
            if callable(value) and hasattr(type(owner), name):
                self.say(f"{label}.{name}", "replaced", self.origin(value) or NO_FILE)

    def added(self, label: str, module: str, owner: Any, noted: dict[str, Any]) -> None:
        """New names: in a module they may hide builtins, in a class they may hide anything."""
        builtin = vars(self.modules["builtins"])
        is_class = isinstance(owner, type)
        for key, value in list(vars(owner).items()):
            if key in noted or module in self.tests or key.startswith("_abc"):
                continue
            if issubclass(type(value), types.ModuleType) or label == "builtins":
                continue
            hides = key in builtin
            if is_class:
                inherited = (vars(base).get(key) for base in owner.__mro__[1:])
                hides = is_code(value) or any(map(is_code, inherited))
            by = self.origin(value) if is_code(value) else (NO_FILE if hides else None)
            if by and (hides or by != NO_FILE):
                self.say(f"{label}.{key}", "added", by)

    def judge(self, what: str, module: str, key: str, old: Any, now: Any) -> None:
        """Tell of a replacement, if it is not the work of pytest, a plugin or a library."""
        if key in NOT_WATCHED.get(module, ()) or key == "__warningregistry__":
            return
        by = self.origin(now) if is_code(now) else self.by_type(now)
        if by is None and module.partition(".")[0] in JUDGES and is_mock(now):
            by = NO_FILE
        if by is None or (by == NO_FILE and not is_code(old)):
            return
        if module in self.tests:
            own = self.relative(str(getattr(sys.modules.get(module), "__file__", None)))
            if by == own or (by == NO_FILE and not key.lower().startswith("test")):
                return
        self.say(what, "replaced", by)

    def by_type(self, value: Any) -> str | None:
        """Who has made a value: for plain data nobody can tell."""
        if value is GONE or not callable(value):
            return NO_FILE
        return self.origin(type(value))

    def say(self, what: str, how: str, by: str) -> None:
        if (what, how, by) not in self.told:
            self.told.add((what, how, by))
            self.tell(what, how, by)

    def owner(self, value: Any) -> str | None:
        """The file of the workspace that a value comes from, None for all else."""
        by = self.origin(value)
        return None if by == NO_FILE else by

    def origin(self, value: Any) -> str | None:
        """A path in the workspace; None for a file elsewhere; NO_FILE for neither."""
        for _ in range(8):
            if type(value) in _WRAPPED:
                value = value.__func__
            elif type(value) is property:
                value = value.fget or value.fset
            elif type(value) is functools.partial:
                value = value.func
            else:
                break
        for name in files_of(value):
            path = self.relative(name)
            if path is not None:
                return path
        code = value.__code__ if type(value) is types.FunctionType else value
        if type(code) is types.CodeType:
            name = code.co_filename
            return None if name.startswith("<frozen") or os.path.isabs(name) else NO_FILE
        return None if any(os.path.isabs(name) for name in files_of(value)) else NO_FILE


def is_code(value: Any) -> bool:
    """Whether it can be called or holds what can be: by its true type, asking nobody."""
    return issubclass(type(value), _CODE)


def files_of(value: Any) -> list[str]:
    """The files that a function, a class, a module or an object comes from."""
    found: list[Any]
    if type(value) is types.CodeType:
        found = [value.co_filename]
    elif type(value) is types.FunctionType:
        found = [value.__code__.co_filename, value.__globals__.get("__file__")]
    elif issubclass(type(value), types.ModuleType):
        found = [vars(value).get("__file__")]
    elif issubclass(type(value), type):
        module = sys.modules.get(str(value.__module__))
        found = [getattr(module, "__file__", None)]
        for part in vars(value).values():
            part = part.__func__ if type(part) in (staticmethod, classmethod) else part
            if type(part) is types.FunctionType:
                found.append(part.__code__.co_filename)
    elif type(value) is types.BuiltinFunctionType:
        owner = value.__self__
        return [] if owner is None or type(owner) is types.ModuleType else files_of(type(owner))
    elif type(value).__module__ == "builtins":
        found = []
    else:
        return files_of(type(value))
    return [name for name in found if isinstance(name, str)]


def is_mock(value: Any) -> bool:
    """Whether it is one of unittest.mock's stand-ins."""
    return any(kind.__module__ == "unittest.mock" for kind in type(value).__mro__)
