"""A real sandbox with given files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

import pytest

from tools.sandbox import bubblewrap
from tools.sandbox.base import File, Limits, Sandbox, Spec
from tools.sandbox.choose import Kind, open_sandbox

Box = Callable[[Mapping[str, str | bytes]], Sandbox]


def open_box(files: Mapping[str, str | bytes]) -> Sandbox:
    kind: Kind = "none" if bubblewrap.available() else "bubblewrap"
    made = [
        File(path, data.encode() if isinstance(data, str) else data) for path, data in files.items()
    ]
    spec = Spec(
        environment=sys.prefix,
        limits=Limits(wall_seconds=60),
        env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    return open_sandbox(kind, made, spec)


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    """Opens sandboxes that are closed at the end of the module."""
    with ExitStack() as stack:
        yield lambda files: stack.enter_context(open_box(files))
