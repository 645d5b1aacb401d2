"""Every target, by hypothesis for a bounded number of inputs, and by atheris for a bounded time."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

SECONDS = 6
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_a_target_holds(name):
    TARGETS[name]()


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("atheris"), reason="atheris is not installed")
@pytest.mark.parametrize("name", sorted(TARGETS))
def test_a_target_holds_under_a_coverage_guided_fuzzer(name, tmp_path):
    options = ["-seed=1", f"-max_total_time={SECONDS}", "-rss_limit_mb=4096"]
    options.append(f"-artifact_prefix={tmp_path}/")
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", name, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        errors="replace",
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
