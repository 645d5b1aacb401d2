"""The supervisor of test runs, on its own, with a child whose timing is ours."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tools.testing import supervisor_inside
from tools.testing.runners import unpack

CHILD = """
import json, os, sys, time

settings = json.loads(os.fdopen(int(sys.argv[1])).read())


def tell(**record):
    os.write(int(sys.argv[2]), settings["mark"].encode() + json.dumps(record).encode() + b"\\n")


tell(t="collected", ids=["a"])
time.sleep(float(settings["args"][0]))
tell(t="start", id="a")
tell(t="end", id="a")
tell(t="finish", exit=0)
"""

LATE = """
import runpy, select, sys, time

asked = select.select


def late(*arguments):
    ready = asked(*arguments)
    if not ready[0]:
        time.sleep(0.5)
    return ready


select.select = late
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@pytest.mark.parametrize("pause", [0.0, 0.1])
def test_what_a_child_says_before_it_ends_is_heard_by_a_supervisor_that_had_to_wait(
    tmp_path, pause
):
    child = tmp_path / "child.py"
    child.write_text(CHILD)
    settings = {
        "nonce": "n", "script": str(child), "args": [pause], "timeout": 30, "per_test": 10,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", LATE, Path(supervisor_inside.__file__)],
        input=json.dumps(settings).encode(),
        capture_output=True,
        timeout=60,
    )
    kinds = [record["t"] for record in unpack(done.stdout, "n")]
    assert kinds == ["collected", "start", "end", "finish", "output", "done"]
