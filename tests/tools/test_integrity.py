"""What code of the workspace replaces of that which decides results, and what it does to find out
about its test, is told, and nothing else."""

from __future__ import annotations

import pytest

from tests.tools.conftest import Box
from tools.testing.detect import TestCommand
from tools.testing.results import TestRun
from tools.testing.runners import run_tests

PYTEST = TestCommand((), "pytest")
ENDS = (" by shop.py", " by shop_time.py", " by code without a file", "traces the run: shop.py")
TEST = "import shop\n\ndef test_a():\n    shop.run()\n\ndef test_b():\n    pass\n"


def run(box: Box, **files: str) -> TestRun:
    named = {f"{name.replace('__', '/')}.py": text for name, text in files.items()}
    return run_tests(box({"test_shop.py": TEST, **named}), PYTEST)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("import builtins\nbuiltins.round = lambda *a: 1\n", "builtins.round replaced"),
        ("import time\ndef run():\n    time.time = run\n", "time.time replaced"),
        ("import random\nrandom.random = lambda: 0.5\n", "random.random replaced"),
        ("import pytest\npytest.raises = print\n", "pytest.raises replaced by code without a file"),
        (
            "import pytest\npytest.approx.__code__ = (lambda *a, **k: 1).__code__\n",
            "approx replaced by shop.py",
        ),
        ("import _pytest.reports as r\nr.TestReport.failed = 0\n", "TestReport.failed added"),
        (
            "import _pytest.reports as r\nr.TestReport.outcome = property(lambda s: 'passed')\n",
            "_pytest.reports.TestReport.outcome added",
        ),
        ("import _pytest.runner as r\nr.len = lambda x: 0\n", "_pytest.runner.len added"),
        (
            "import unittest as u\ndef yes(*a): pass\nu.TestCase.assertEqual = yes\n",
            "unittest.case.TestCase.assertEqual replaced",
        ),
        ("import __main__ as m\nm.aggregate = lambda r: ('passed', None)\n", "aggregate replaced"),
        ("import operator\noperator.eq = lambda a, b: True\n", "operator.eq replaced"),
        ("import json\nexec('def f(*a): pass')\njson.dumps = f\n", "json.dumps replaced"),
        ("import time, shop_time\nimport sys\nsys.modules['time'] = shop_time\n", "module time"),
        ("import atexit\n@atexit.register\ndef f(): pass\n", "exit handler registered"),
        ("import atexit\natexit.register(print)\n", "exit handler registered"),
        ("import sys\ndef run(*a): pass\nsys.setprofile(run)\n",
         "sys.setprofile hook set"),
        ("import threading\ndef run(*a): pass\nthreading.settrace(run)\n",
         "threading.settrace hook set"),
        ("import sys\nclass F:\n    def find_spec(*a): pass\nsys.meta_path.append(F())\n",
         "sys.meta_path entry added"),
        ("import signal as s\ns.signal(s.SIGRTMIN + 9, s.SIG_IGN)\n", "handler of signal"),
        ("import pytest\npytest.raises.__defaults__ = (1,)\n", "the defaults of"),
        ("import sys\ndef run():\n    sys.modules['test_shop'].test_b.__code__ = run.__code__\n",
         "test_shop.test_b replaced"),
    ],
)  # fmt: skip
def test_a_replacement_is_told(box: Box, body: str, told: str) -> None:
    if "def run" not in body:
        body += "def run(): pass\n"
    found = run(box, shop=body, shop_time="from time import *\n").patched
    assert any(told in one for one in found)
    assert all(one.endswith(ENDS) for one in found)


def test_a_plugin_of_the_workspace_is_told_and_a_conftest_is_not(box: Box) -> None:
    conftest = (
        "import pytest\nimport shop\n\ndef pytest_configure(config):\n    shop.take(config)\n"
    )
    hook = "def pytest_runtest_makereport(item, call): pass\n"
    body = (
        "import sys\n\ndef run(): pass\n\n"
        f"def take(config):\n    config.pluginmanager.register(sys.modules['shop'], 'x')\n{hook}"
    )
    assert run(box, shop=body, conftest=conftest).patched == ("plugin registered by shop.py",)
    assert run(box, shop="def run(): pass\n", conftest=hook).patched == ()


def test_methods_given_to_the_reporter_are_told(box: Box) -> None:
    body = (
        "def run(): pass\n\ndef take(config):\n"
        "    for one in config.pluginmanager.get_plugins():\n"
        "        if hasattr(one, 'pytest_runtest_logfinish') and hasattr(one, 'describe'):\n"
        "            one.describe = run\n"
    )
    conftest = "import shop\n\ndef pytest_configure(config):\n    shop.take(config)\n"
    found = run(box, shop=body, conftest=conftest).patched
    assert found == ("the reporter.describe replaced by shop.py",)


def test_records_written_by_code_under_test_are_told_and_count_nothing(box: Box) -> None:
    body = (
        "import json, os\n\ndef run():\n"
        "    line = json.dumps({'t': 'end', 'id': 'test_shop.py::test_x', 'outcome': 'passed',\n"
        "                       'seconds': 0}) + '\\n'\n"
        "    for fd in range(3, 20):\n"
        "        try: os.write(fd, line.encode())\n"
        "        except OSError: pass\n"
    )
    found = run(box, shop=body)
    assert found.patched == ("a record of results written by code under test",)
    assert list(found.outcomes) == ["test_shop.py::test_a", "test_shop.py::test_b"]


def test_a_shadowed_module_is_told(box: Box) -> None:
    body = "import sys\nsys.path.insert(0, 'pkg')\nimport queue\ndef run(): pass\n"
    found = run(box, shop="import colorsys\ndef run(): pass\n", colorsys="x = 1\n").patched
    assert found == ("module colorsys replaced by colorsys.py",)
    assert run(box, shop=body.replace("queue", "fractions"), pkg__fractions="").patched == ()


def test_a_crash_starts_pytest_again_with_nothing_that_the_code_has_set(box: Box) -> None:
    body = (
        "import os, sys\n\ndef run():\n    os.environ['PYTEST_ADDOPTS'] = '--collect-only'\n"
        "    os.environ['PYTEST_PLUGINS'] = os.environ['PYTHONPATH'] = 'shop'\n    os._exit(0)\n"
    )
    found = run(box, shop=body)
    assert found.outcomes == {"test_shop.py::test_a": "error", "test_shop.py::test_b": "passed"}
    assert (found.restarts, found.patched) == (1, ())


def test_reports_are_written_though_the_code_replaces_what_writes_them(box: Box) -> None:
    body = "import json, os\ndef run(): pass\njson.dumps = os.write = run\n"
    found = run(box, shop=body)
    assert found.passing == ("test_shop.py::test_a", "test_shop.py::test_b")
    told = {f"{name} replaced by shop.py" for name in ("json.dumps", "os.write")}
    assert set(found.patched) == told


HONEST = """\
import random, sys, time, unittest.mock, warnings, builtins, json, threading
from unittest import mock

import pytest

import shop


def test_monkeypatch(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 5)
    monkeypatch.setattr(builtins, "open", print)
    assert time.time() == 5


@mock.patch("time.sleep")
@mock.patch.object(random, "random", lambda: 1)
def test_mock(sleep):
    time.sleep(100)
    with mock.patch.dict(sys.modules, {"json": None}):
        pass


def test_capture(capsys, recwarn):
    print("x")
    warnings.warn("y")
    with pytest.warns(UserWarning), pytest.raises(ValueError):
        warnings.warn("y")
        raise ValueError
    assert capsys.readouterr().out == "x\\n"


class TestU(unittest.TestCase):
    def setUp(self):
        self.addTypeEqualityFunc(int, lambda *a, **k: None)

    def test_sub(self):
        with self.subTest(x=1):
            self.assertEqual(1, 1)


@pytest.fixture(scope="session")
def clock():
    with mock.patch("time.perf_counter", time.monotonic):
        yield


def test_doc(clock, pytester=None):
    import doctest, importlib
    assert doctest.testmod(shop).failed == 0
    importlib.reload(random)
    random.seed(3)
"""


def test_honest_tests_are_told_of_nothing(box: Box) -> None:
    shop = (
        '"""\n>>> 1 + 1\n2\n"""\nimport logging, weakref\nclass A: pass\n'
        "weakref.finalize(A(), print)\n"
    )
    conftest = (
        "import pytest\n\n@pytest.hookimpl(hookwrapper=True)\n"
        "def pytest_runtest_makereport(item, call):\n    yield\n\n"
        "@pytest.fixture(autouse=True)\ndef quick(monkeypatch):\n"
        "    monkeypatch.setattr('time.sleep', lambda seconds: None)\n"
    )
    sandbox = box({"test_h.py": HONEST, "shop.py": shop, "conftest.py": conftest})
    for trace in (False, True):
        found = run_tests(sandbox, PYTEST, trace=trace)
        assert found.ok, found.failures
        assert found.patched == ()


READS, CHANGES, FRAMES = "reads test_shop.py", "changes test_shop.py", "looks at stack frames"
OBJECTS, TRACES, CTYPES = "hunts for objects", "traces the run", "uses ctypes"
PROCESSES, INTO = "ends or signals processes", "reaches into processes"
CODE, FALSE_NAME = "reads the code of test_shop.py", "gives code a false name"
ASIDE = "changes sub/test_sub.py"
FOUND_OUT = (
    ("open('test_shop.py').read()", READS),
    ("os.close(os.open(b'test_shop.py', os.O_RDONLY))", READS),
    ("io.FileIO(pathlib.Path('test_shop.py')).close()", READS),
    ("pathlib.Path('/proc/self/cwd/test_shop.py').read_bytes()", READS),
    ("inspect.getsource(sys.modules['test_shop'].test_1)", READS),
    ("linecache.getlines('test_shop.py')", READS),
    ("tokenize.open('test_shop.py').close()", READS),
    ("pkgutil.get_data('test_shop', 'test_shop.py')", READS),
    ("importlib.machinery.SourceFileLoader('x', 'test_shop.py').get_code('x')", READS),
    ("shutil.copy('test_shop.py', '/tmp/copy')", READS),
    ("open('conftest.py').close()", "reads conftest.py"),
    ("open('alias.txt').close()", READS),
    ("open('__pycache__/test_shop.cpython-399-pytest-8.pyc').close()",
     "reads __pycache__/test_shop.cpython-399-pytest-8.pyc"),
    ("exec('open(\"test_shop.py\").close()'), open('test_shop.py').close()", READS),
    ("open('test_shop.py', 'a').close()", CHANGES),
    ("os.truncate('test_shop.py', os.path.getsize('test_shop.py'))", CHANGES),
    ("os.rename('test_shop.py', 'x'), os.rename('x', 'test_shop.py')", CHANGES),
    ("os.link('test_shop.py', 'y')", CHANGES),
    ("os.symlink('../test_shop.py', 'sub/x')", CHANGES),
    ("os.rename('sub/test_sub.py', 'sub/y'), os.rename('sub/y', 'sub/test_sub.py')", ASIDE),
    ("os.rename('sub', 'bus'), os.rename('bus', 'sub')", ASIDE),
    ("sys._getframe(1)", FRAMES),
    ("[sys][0].__dict__['_getframe'](0)", FRAMES),
    ("inspect.stack()", FRAMES),
    ("inspect.currentframe()", FRAMES),
    ("traceback.extract_stack()", FRAMES),
    ("logging.currentframe()", FRAMES),
    ("sys._current_frames()", FRAMES),
    ("caught().__traceback__.tb_frame", FRAMES),
    ("(i for i in ()).gi_frame", FRAMES),
    ("sys.modules['test_shop'].test_1.__code__.co_consts", CODE),
    ("gc.get_objects()", OBJECTS),
    ("gc.get_referrers(run)", OBJECTS),
    ("gc.get_referents(run)", OBJECTS),
    ("sys.settrace(None)", TRACES),
    ("sys.setprofile(None)", TRACES),
    ("sys.addaudithook(lambda *a: None)", "adds an audit hook"),
    ("ctypes.c_int.from_address(id(run))", CTYPES),
    ("ctypes.CDLL(None)", CTYPES),
    ("ctypes.string_at(id(run), 1)", CTYPES),
    ("os.kill(os.getpid(), signal.SIGCONT)", PROCESSES),
    ("os.killpg(0, signal.SIGCONT)", PROCESSES),
    ("signal.pthread_kill(threading.get_ident(), signal.SIGCONT)", PROCESSES),
    ("attempt(os.execvp, '/none', ['x'])", PROCESSES),
    ("attempt(open, f'/proc/{os.getppid()}/mem')", INTO),
    ("attempt(open, f'/proc/{os.getppid()}/fd/1')", INTO),
    ("attempt(open, '//proc/./self/comm', 'w')", INTO),
    ("compile('1', os.__file__, 'eval')", FALSE_NAME),
    ("compile('1', '<frozen os>', 'eval')", FALSE_NAME),
    ("run.__code__.replace(co_filename='<doctest x>')", FALSE_NAME),
    ("os.remove('test_sub.py', dir_fd=os.open('sub', 0))", ASIDE),
)  # fmt: skip
NEEDED = (
    "import ctypes, gc, importlib.machinery, inspect, io, linecache, logging, os, pathlib\n"
    "import pkgutil, shutil, signal, sys, threading, tokenize, traceback\n\n"
    "def caught():\n    try: 1 / 0\n    except ZeroDivisionError as error: return error\n\n"
    "def attempt(function, *args):\n    try: function(*args)\n    except OSError: pass\n\n"
)


@pytest.fixture(scope="module")
def heard(box: Box) -> set[str]:
    """What is told when a module for each line is run by a test."""
    tests = ["import importlib, linecache, pytest\n"]
    files = {
        "conftest.py": "import os\nos.link('test_shop.py', 'alias.txt')\n",
        "sub/test_sub.py": "def test_sub(): pass\n",
        "__pycache__/test_shop.cpython-399-pytest-8.pyc": "",
    }
    for number, (line, _) in enumerate(FOUND_OUT):
        files[f"shop_{number}.py"] = f"{NEEDED}def run():\n    {line}\n"
        tests.append(
            f"def test_{number}():\n    linecache.clearcache()\n"
            f"    importlib.import_module('shop_{number}').run()\n"
        )
    found = run_tests(box({**files, "test_shop.py": "\n".join(tests)}), PYTEST)
    assert found.ok, found.failures
    return set(found.patched)


@pytest.mark.parametrize("number", range(len(FOUND_OUT)), ids=[line for line, _ in FOUND_OUT])
def test_finding_out_is_told(heard: set[str], number: int) -> None:
    assert f"{FOUND_OUT[number][1]}: shop_{number}.py" in heard


def test_finding_out_by_code_without_a_file_is_told(heard: set[str]) -> None:
    assert {one for one in heard if not one.endswith(".py")} == {f"{READS}: code without a file"}


def test_finding_out_while_the_code_is_imported_is_told(box: Box) -> None:
    body = "import importlib\nopen('test_shop.py').close()\ndef run(): pass\n"
    assert run(box, shop=body).patched == (f"{READS}: shop.py",)


def test_signs_are_told_once_and_within_bounds(box: Box) -> None:
    body = (
        "import sys\n\ndef run():\n    for n in range(300):\n        sys._getframe()\n"
        "        open(f'test_{n}.py').close()\n"
    )
    others = {f"test_{n}": "" for n in range(300)}
    found = run(box, shop=body, **others).patched
    assert len(found) == 100
    assert found[:2] == (f"{FRAMES}: shop.py", "reads test_0.py: shop.py")


def test_objects_of_any_class_do_not_make_the_hook_deaf(box: Box) -> None:
    body = (
        "import sys\n\nclass Text(str):\n"
        "    def __hash__(self): return look()\n"
        "    def __eq__(self, other): return bool(look())\n"
        "    partition = rpartition = startswith = __contains__ = lambda *a: look()\n\n"
        "class Path:\n    def __fspath__(self):\n        look()\n        return 'test_shop.py'\n\n"
        "class Flags(int):\n    __and__ = __rand__ = lambda *a: look()\n\n"
        "def look():\n    heard.append(sys._getframe())\n    return 5\n\n"
        "heard = []\n\ndef run():\n    sys.audit('open', Text('x'), Text('r'), Flags(1))\n"
        "    for event in ('open', 'compile', 'os.kill', 'os.rename', 'object.__getattr__'):\n"
        "        sys.audit(event)\n        sys.audit(event, None, None, None)\n"
        "    assert not heard\n    open(Path()).close()\n    assert len(heard) == 1\n"
    )
    found = run(box, shop=body)
    assert found.passing == ("test_shop.py::test_a", "test_shop.py::test_b")
    assert set(found.patched) == {f"{what}: shop.py" for what in (FRAMES, READS, PROCESSES)}


CANDID = """\
import atexit, collections, contextlib, ctypes.util, dataclasses, enum, functools, logging, os
import pathlib, subprocess, sys, tempfile, traceback, typing, uuid, warnings
import multiprocessing, threading, importlib

T = typing.TypeVar("T")
Point = collections.namedtuple("Point", "x y")
Colour = enum.Enum("Colour", "RED BLUE")
log = logging.getLogger(__name__)


@dataclasses.dataclass
class Entry(typing.Generic[T]):
    value: T


class Named(typing.NamedTuple):
    name: str


def call(function):
    try:
        return function()
    except ZeroDivisionError:
        log.exception("failed")
        return traceback.format_exc()


def run():
    warnings.warn("old", DeprecationWarning, stacklevel=2)
    logging.basicConfig()
    log.warning("x")
    importlib.import_module("test_other")
    uuid.uuid1()
    os.kill(os.getpid(), 0)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "test_x.py")
        path.write_text("x")
        path.rename(path.with_name("test_y.py"))
        path.with_name("test_y.py").read_text()
    pathlib.Path("test_made.py").write_text("x")
    pathlib.Path("test_made.py").read_text()
    compile("1", "shop.txt", "eval")
    pathlib.Path("/proc/self/status").read_text()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    child.kill()
    child.communicate()
    thread = threading.Thread(target=log.warning, args=("x",))
    thread.start()
    thread.join()
    return Point(1, 2), Colour.RED, Entry(1), Named("x")
"""
ASKING = """\
import gc, inspect, os, sys
import shop


def test_a():
    shop.run()
    assert "ZeroDivisionError" in shop.call(lambda: 1 / 0)


def test_b(request):
    assert open(__file__).read() and inspect.getsource(test_a)
    assert sys._getframe() and gc.get_objects()
    shop.call(lambda: sys._getframe(1))
    shop.call(lambda: open(__file__).close())
    os.kill(os.getpid(), 0)
"""


def test_honest_code_is_heard_to_do_nothing(box: Box) -> None:
    files = {
        "test_shop.py": ASKING,
        "test_other.py": "def test_other():\n    assert [1] == [1]\n",
        "shop.py": CANDID,
        "conftest.py": "import shop, sys\nsys.settrace(sys.gettrace())\n",
        "checks.py": "def test_c():\n    open('test_shop.py').close()\n",
    }
    for trace in (False, True):
        command = TestCommand(("-p", "no:warnings", ".", "checks.py"), "pytest")
        found = run_tests(box(files), command, trace=trace)
        assert found.ok, found.failures
        assert found.patched == ()
