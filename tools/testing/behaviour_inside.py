"""Runs inside the sandbox: what functions do with the inputs of the tests, and with others like
them.

Standalone, standard library only, Python 3.8 and later. Programs that pass the same tests may still
differ. The arguments of calls are noted, pickled, while tests run; then the functions are called
with them, and with variants, and what comes of it is told as digests: what comes back or is raised,
and what the arguments are then. What a function prints, or changes elsewhere, is not seen.
"""

from __future__ import annotations

import base64
import gc
import hashlib
import inspect
import pickle
import signal
import types
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

MOST_INPUTS, MOST_BYTES = 24, 1 << 14
VARIANTS = 3
CALL_CPU_SECONDS = 0.2
MOST_PARTS, MOST_PAUSES = 2000, 100
_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(...))
_NAMED = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType)
_STAR, _STARS = 0x04, 0x08


class Recorder:
    """Notes the arguments of calls to some functions as they are when the call begins."""

    def __init__(self, functions: Sequence[types.FunctionType]) -> None:
        self.numbers: dict[int, int] = {}
        for number, function in enumerate(functions):
            self.numbers.setdefault(id(function.__code__), number)
        self.inputs: list[list[bytes]] = [[] for _ in functions]
        self.starts: dict[int, int] = {}
        self.busy = False

    def called(self, frame: types.FrameType, event: str, argument: Any) -> None:
        """The callback for `sys.setprofile`. A generator that goes on is no call."""
        number = self.numbers.get(id(frame.f_code)) if event == "call" else None
        if number is None or self.busy or len(self.inputs[number]) >= MOST_INPUTS:
            return
        if self.starts.setdefault(number, frame.f_lasti) != frame.f_lasti:
            return
        self.busy = True
        try:
            data = pickle.dumps(_arguments(frame))
        except Exception:
            return
        finally:
            self.busy = False
        if len(data) <= MOST_BYTES and data not in self.inputs[number]:
            self.inputs[number].append(data)


def noting(
    functions: Sequence[types.FunctionType],
    tests: Sequence[str],
    watched: Callable[[str, Callable[..., None]], object],
) -> Callable[[Callable[[dict[str, Any]], None]], None]:
    """The work of a child that runs the tests and notes what the functions get in each."""

    def work(answer: Callable[[dict[str, Any]], None]) -> None:
        recorder = Recorder(functions)
        counts = [0] * len(functions)
        for test in tests:
            watched(test, recorder.called)
            new = [own[n:] for own, n in zip(recorder.inputs, counts)]  # noqa: B905 - Python 3.8
            counts = [len(own) for own in recorder.inputs]
            answer({"new": [[base64.b64encode(data).decode() for data in own] for own in new]})

    return work


def noted(records: Sequence[dict[str, Any]], functions: int) -> list[list[bytes]]:
    """The arguments, pickled, that each of so many functions got."""
    found: list[list[bytes]] = [[] for _ in range(functions)]
    for record in records:
        for own, new in zip(found, record.get("new", [])):  # noqa: B905
            own += map(base64.b64decode, new)
    return found


def answering(
    swaps: Sequence[tuple[types.FunctionType, types.CodeType]],
    functions: Sequence[types.FunctionType],
    inputs: Sequence[Sequence[bytes]],
    varied: Callable[[Any, Random], Any],
) -> Callable[[Callable[[dict[str, Any]], None]], None]:
    """The work of a child that tells what the functions do, some of them with other code."""

    def work(answer: Callable[[dict[str, Any]], None]) -> None:
        for function, code in swaps:
            function.__code__ = code
        answer({"answers": answers(functions, inputs, varied)})

    return work


def answers(
    functions: Sequence[types.FunctionType],
    inputs: Sequence[Sequence[bytes]],
    varied: Callable[[Any, Random], Any],
) -> list[list[str]]:
    """What each function does with its inputs and with variants of these: a digest, or a word
    where nothing can be told.

    No garbage is collected meanwhile: that would count as time of a call, and what ends a late call
    is lost when it is raised in a callback of the collector.
    """
    signal.signal(signal.SIGVTALRM, _stop)
    collects = gc.isenabled()
    gc.disable()
    try:
        return [
            [
                _answer(function, data, varied, 1000 * number + variant if variant else None)
                for number, data in enumerate(own)
                for variant in range(1 + VARIANTS)
            ]
            for function, own in zip(functions, inputs)  # noqa: B905 - Python 3.8
        ]
    finally:
        if collects:
            gc.enable()


class Late(BaseException):
    """A call takes too long."""


class Opaque(BaseException):
    """A value that cannot be looked into."""


def _stop(number: int, frame: Any) -> None:
    raise Late


def _answer(
    function: types.FunctionType,
    data: bytes,
    varied: Callable[[Any, Random], Any],
    seed: int | None,
) -> str:
    """What comes of one call; with a `seed`, of one with other arguments."""
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, CALL_CPU_SECONDS)
        given, same = (_given(data, varied, seed) for _ in range(2))
        if given is None:
            return "no variant"
        before = told(same)
        try:
            found = function(*given[0], **given[1])
            if inspect.iscoroutine(found):
                found = _finished(found)
            result: tuple[Any, ...] = ("returns", told(found))
        except (Late, Opaque):
            raise
        except BaseException as error:
            result = ("raises", type(error).__qualname__, told(error.args))
        after = told(given)
        if result == ("returns", told(None)) and before == after:
            return "nothing"
        return hashlib.sha256(repr((result, after)).encode()).hexdigest()
    except Late:
        return "late"
    except BaseException:
        return "opaque"
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)


def _finished(coroutine: Any) -> Any:
    """What a coroutine comes to that waits for nothing outside."""
    try:
        for _ in range(MOST_PAUSES):
            if coroutine.send(None) is not None:
                break
    except StopIteration as done:
        return done.value
    finally:
        coroutine.close()
    raise Opaque


def _given(data: bytes, varied: Callable[[Any, Random], Any], seed: int | None) -> Any:
    """Arguments as they were noted, or with one part changed; None where no part can be."""
    given = pickle.loads(data)  # noqa: S301 - noted by us, in the same sandbox
    return given if seed is None else varied(given, Random(seed))  # noqa: S311


def _arguments(frame: types.FrameType) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call that begins, by position and by name."""
    code, held = frame.f_code, frame.f_locals
    names, at = code.co_varnames, code.co_argcount
    args = [held[name] for name in names[:at]]
    named = {name: held[name] for name in names[at : at + code.co_kwonlyargcount]}
    at += code.co_kwonlyargcount
    if code.co_flags & _STAR:
        args += held[names[at]]
        at += 1
    if code.co_flags & _STARS:
        named.update(held[names[at]])
    return tuple(args), named


def told(value: Any) -> Any:
    """A value as nested tuples of plain data, without addresses. Raises Opaque."""
    return _Teller().tell(value)


class _Teller:
    """Tells one value, up to so many parts of it."""

    def __init__(self) -> None:
        self.left = MOST_PARTS
        self.around: list[int] = []

    def tell(self, value: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            raise Opaque
        kind = type(value)
        if kind in _PLAIN:
            return (kind.__name__, repr(value))
        if isinstance(value, _NAMED):
            name = getattr(value, "__qualname__", value.__name__)
            if "<" in name:
                raise Opaque
            return ("named", getattr(value, "__module__", ""), name)
        if id(value) in self.around:
            return ("again", len(self.around) - self.around.index(id(value)))
        self.around.append(id(value))
        try:
            return (kind.__qualname__, self.parts(value, kind))
        finally:
            self.around.pop()

    def parts(self, value: Any, kind: Any) -> Any:
        if kind in (list, tuple):
            return tuple(self.tell(part) for part in value)
        if kind in (set, frozenset):
            return tuple(sorted((self.tell(part) for part in value), key=repr))
        if kind is dict:
            return tuple((self.tell(key), self.tell(part)) for key, part in value.items())
        if hasattr(kind, "__next__"):
            return tuple(self.items(value))
        try:
            reduced = value.__reduce_ex__(4)
        except Exception:
            if type(getattr(value, "__dict__", None)) is not dict:
                raise Opaque from None
            reduced = vars(value)
        return self.tell(reduced)

    def items(self, values: Any) -> Iterator[Any]:
        """What an iterator yields, and how it fails, if it does."""
        try:
            for part in values:
                yield self.tell(part)
        except (Late, Opaque, GeneratorExit):
            raise
        except BaseException as error:
            yield ("raises", type(error).__qualname__)
