"""A wall clock that jumps: nothing ends early or late, and events keep their order."""

import json
import subprocess
import sys
from pathlib import Path

from policies.experience.store import Store
from tests.agent import shop
from tests.faults.runs import last_run

SCRIPT = Path(__file__).with_name("clock_process.py")


def test_a_run_under_a_jumping_clock_ends_as_it_should(git_repo, tmp_path):
    repo = git_repo(shop.files())
    model = shop.script(tmp_path, [shop.PLAN, shop.BAD, shop.CRITIQUE, shop.GOOD])
    arguments = map(str, shop.solve_arguments(repo, model, "--timeout", "250"))
    done = subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["status"] == "verified"
    status, events = last_run()
    assert status == "verified"
    times = [event.at for event in events]
    assert times != sorted(times)
    labels = [event.label for event in events if event.kind == "tested"]
    assert labels == ["baseline", "candidate", "candidate", "verification"]
    assert (events[0].kind, events[-1].kind) == ("task_started", "finished")
    assert 0 < events[-1].test_seconds < events[-1].seconds < 250
    with Store.open() as store:
        (summary,) = store.trajectories()
    assert 0 < summary.seconds < 250
