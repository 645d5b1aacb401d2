"""`agent solve` killed at random moments: what benchmarks/faults/kill.py finds."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "faults" / "kill.py"


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are adopted by a call of Linux")
@pytest.mark.parametrize(
    "times", [6, pytest.param(20, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])]
)
@pytest.mark.parametrize(
    "sandbox", ["bubblewrap", pytest.param("docker", marks=pytest.mark.docker)]
)
def test_kills_lose_nothing_and_leave_nothing(tmp_path, times, sandbox):
    out = tmp_path / "report.json"
    options = ["--times", str(times), "--sandbox", sandbox, "--out", str(out)]
    done = subprocess.run([sys.executable, SCRIPT, *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    counts = json.loads(out.read_text())["counts"]
    assert counts["kills"] == times
    assert counts["ended before the kill"] < times
    assert counts["shown events, all in the store"] > times
    assert set(counts["tree after the next run"]) <= {"untouched", "patched"}
