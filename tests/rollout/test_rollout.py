"""`agent rollout` on real tasks in real sandboxes, and what trainers read of it."""

import json
import os
import signal
import subprocess
import sys
import time
from math import comb
from pathlib import Path

import pytest

from agent.infill import SAMPLES_OF_KNOWN
from agent.rollout.records import Batch
from agent.rollout.run import told_by
from agent.tasks.hide import unified_diff
from agent.tasks.instance import write_instances
from policies.experience.store import Store
from policies.learning.batch import grouped, read
from policies.learning.rewards import RewardConfig
from tests.agent import shop
from tests.agent.shop import BAD, GOOD, PLAN, SYMBOL, agent, script
from tests.documents import conforms
from tests.tasks.samples import shop_task

pytestmark = pytest.mark.slow


@pytest.fixture
def tasks(git_repo, tmp_path):
    path = tmp_path / "tasks.jsonl"
    write_instances(path, [shop_task(git_repo(shop.files()))])
    return path


def arguments(tasks, model, out, *more):
    fixed = ["--ids", "shop", "--rounds", "1", "--strategies", "conversation", "--json"]
    return ["rollout", tasks, "--model", model, "--out", out, "--sandbox", "bubblewrap",
            *fixed, *more]  # fmt: skip


def roll_out(tasks, model, out, *more, code=0):
    result = agent(*arguments(tasks, model, out, *more))
    assert result.exit_code == code, (result.stdout, result.stderr)
    return conforms(json.loads(result.stdout))


def eight(*lines):
    """An answer for each of the samples at a known place: these lines, the last one as often as
    it takes."""
    padded = (*lines, *lines[-1:] * (SAMPLES_OF_KNOWN - len(lines)))
    return [f"```python\nstart = {line}\n```" for line in padded]


def batches(out):
    return [
        Batch.model_validate_json(line) for line in (out / "batches.jsonl").read_text().splitlines()
    ]


def test_all_samples_of_a_task_are_drawn_and_form_a_group(tasks, tmp_path, monkeypatch):
    model = script(tmp_path, [PLAN, GOOD, PLAN, BAD, PLAN, GOOD, PLAN, "nonsense", "nonsense"])
    monkeypatch.chdir(tmp_path)
    out = Path("out")
    rolled = roll_out(tasks, model, out, "--samples", "4")
    assert (rolled["tasks"], rolled["samples"], rolled["trajectories"]) == (1, 4, 4)
    assert (rolled["attempts"], rolled["solved"], rolled["solved_tasks"]) == (4, 2, 1)
    assert rolled["pass_rates"] == {"shop": 0.5}
    assert (rolled["groups"], rolled["left_out"]) == (1, {})
    assert sum(rolled["stages"].values()) == pytest.approx(1, abs=0.01)
    (batch,) = batches(out)
    assert batch.solved == (True, False, True, False)
    with Store.open(out / "experience.db") as store:
        (group,) = grouped(read(store, [batch.trajectory], RewardConfig())).groups
    assert group.rewards == (1.0, 0.0, 1.0, 0.0)


def test_the_known_fix_is_said_behind_the_prompt_that_was_seen(tasks, tmp_path):
    model = script(tmp_path, [PLAN, BAD])
    rolled = roll_out(tasks, model, tmp_path / "out", "--samples", "1")
    assert rolled["gold"] == 1
    (row,) = map(json.loads, (tmp_path / "out" / "gold.jsonl").read_text().splitlines())
    roles = [message["role"] for message in row["messages"]]
    assert roles == ["system", "user", "user", "assistant", "user", "assistant"]
    assert "(number - 1) * size" in row["messages"][-1]["content"]
    assert row["messages"][3]["content"].endswith(f"\nsymbol: {SYMBOL}\n")
    assert "(number - 1) * size" not in "".join(m["content"] for m in row["messages"][:3])


def test_holes_are_filled_where_the_known_fix_does_it(tasks, tmp_path):
    right = "(number - 1) * size"
    others = (f"({right})", "number * size - size")
    replies = eight("number + size", right, *others, "size") + eight("0", "number")
    more = ("--samples", "2", "--strategies", "infill", "--known-places")
    rolled = roll_out(tasks, script(tmp_path, replies), tmp_path / "out", *more)
    (batch,) = batches(tmp_path / "out")
    assert batch.solved == (True, False)
    assert told_by(batch) == (False, True, True, True, *[False] * 12)
    with Store.open(tmp_path / "out" / "experience.db") as store:
        (group,) = grouped(read(store, [batch.trajectory], RewardConfig())).groups
    assert group.rewards == (0.0, 1.0, 1.0, 1.0, *[0.0] * 12)
    assert (rolled["groups"], rolled["trajectories"], rolled["gold"]) == (1, 16, 1)
    assert rolled["answers"] == {"shop": [16, 3]}
    assert [at["estimate"] for at in rolled["pass_at"]] == pytest.approx(
        [1 - comb(13, k) / comb(16, k) for k in range(1, 17)]
    )
    (row,) = map(json.loads, (tmp_path / "out" / "gold.jsonl").read_text().splitlines())
    assert row["messages"][-1]["content"] == "```python\nstart = (number - 1) * size\n```"


def test_what_hangs_or_changes_nothing_is_not_solved(tasks, tmp_path):
    replies = eight("sum(iter(int, 1))", "(number * size)", "size")
    more = ("--samples", "1", "--strategies", "infill", "--known-places")
    rolled = roll_out(tasks, script(tmp_path, replies), tmp_path / "out", *more)
    assert (rolled["answers"], rolled["unscored"]) == ({"shop": [8, 0]}, {})


@pytest.mark.parametrize(("right", "solved"), [("(number - 1) * size", 1), ("size - size", 0)])
def test_answers_about_code_that_runs_at_import_have_a_reward(git_repo, tmp_path, right, solved):
    at_import = b"from shop.catalogue import page\n\nFIRST = page([1, 2], 1)\n"
    tasks = tmp_path / "tasks.jsonl"
    repo = git_repo({**shop.files(), "shop/__init__.py": at_import})
    write_instances(tasks, [shop_task(repo)])
    replies = eight(right, "number", "size")
    more = ("--samples", "1", "--strategies", "infill", "--known-places")
    rolled = roll_out(tasks, script(tmp_path, replies), tmp_path / "out", *more)
    assert (rolled["answers"], rolled["unscored"]) == ({"shop": [8, solved]}, {})


def test_a_known_place_may_be_the_end_of_a_definition(git_repo, tmp_path):
    source = shop.files()["shop/catalogue.py"]
    last = b"    return items[start:start + size]\n"
    fixed = source.replace(b"number * size", b"(number - 1) * size")
    path, broken = "shop/catalogue.py", fixed.replace(last, b"")
    task = shop_task(git_repo({**shop.files(), path: broken}))
    tasks = tmp_path / "tasks.jsonl"
    patch = unified_diff({path: broken}, {path: fixed})
    write_instances(tasks, [task.model_copy(update={"patch": patch})])
    replies = [f"```python\nreturn items[{at}:]\n```" for at in ("0", "start", *["size"] * 6)]
    replies[1] = replies[1].replace(":]", ":start + size]")
    more = ("--samples", "1", "--strategies", "infill", "--known-places")
    rolled = roll_out(tasks, script(tmp_path, replies), tmp_path / "out", *more)
    assert (rolled["answers"], rolled["gold"]) == ({"shop": [8, 1]}, 1)
    (batch,) = batches(tmp_path / "out")
    assert told_by(batch) == (False, True, *[False] * 6)


def test_tasks_without_a_known_place_are_left_out_and_told(tasks, tmp_path):
    task = json.loads(tasks.read_text())
    more = "diff --git a/more.py b/more.py\nnew file mode 100644\n--- /dev/null\n+++ b/more.py\n"
    wide = {**task, "instance_id": "wide", "patch": f"{task['patch']}{more}@@ -0,0 +1 @@\n+x = 1\n"}
    lost = {**task, "instance_id": "lost", "repo": "/nowhere/at/all"}
    tasks.write_text("".join(json.dumps(row) + "\n" for row in (task, wide, lost)))
    model = script(tmp_path, eight("size") * 2)
    options = ("--samples", "1", "--strategies", "infill", "--known-places")
    every = arguments(tasks, model, tmp_path / "out", "--ids", "shop,wide,lost", *options)
    result = agent(*every)
    assert "left out, as their fix fills no single place: 1\n" in result.stderr
    rolled = conforms(json.loads(result.stdout))
    assert (rolled["failed"].keys(), rolled["pass_rates"].keys()) == ({"lost"}, {"shop"})
    alone = agent(*arguments(tasks, model, tmp_path / "alone", "--ids", "wide", *options))
    assert (alone.exit_code, "no task is left" in alone.stdout) == (2, True)


def test_equal_rewards_teach_nothing_and_are_counted(tasks, tmp_path):
    model = script(tmp_path, [PLAN, BAD] * 2)
    rolled = roll_out(tasks, model, tmp_path / "out", "--samples", "2")
    assert (rolled["groups"], rolled["left_out"]) == (0, {"equal rewards": 2})
    assert rolled["pass_rate"] == 0


def test_a_rollout_goes_on_where_it_was_killed(tasks, tmp_path):
    out = tmp_path / "out"
    model = script(tmp_path, [PLAN, BAD] * 8)
    command = [sys.executable, "-m", "agent", *map(str, arguments(tasks, model, out))]
    with subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not (out / "batches.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
    (first,) = batches(out)
    time.sleep(1)
    rolled = roll_out(tasks, model, out)
    assert rolled["samples"] == 8
    assert batches(out)[0] == first
    assert [batch.batch for batch in batches(out)] == [0, 1]
    other = agent(*arguments(tasks, model, out, "--seed", "5"))
    assert (other.exit_code, "other tasks or settings" in other.stdout) == (2, True)


def test_a_task_that_cannot_run_is_told(tasks, tmp_path):
    task = json.loads(tasks.read_text())
    lost = {**task, "instance_id": "lost", "repo": "/nowhere/at/all"}
    tasks.write_text(json.dumps(task) + "\n" + json.dumps(lost) + "\n")
    model = script(tmp_path, [PLAN, BAD] * 2)
    more = ("--samples", "1", "--ids", "shop,lost")
    rolled = roll_out(tasks, model, tmp_path / "out", *more, code=1)
    assert rolled["failed"].keys() == {"lost"}
    assert rolled["samples"] == 2
    assert "/nowhere/at/all" in rolled["failed"]["lost"]
    again = roll_out(tasks, model, tmp_path / "out", *more, code=1)
    assert again == rolled


def test_the_same_answers_pay_only_where_held_out_tests_pass(tasks, tmp_path):
    task = json.loads(tasks.read_text())
    held = "from shop.catalogue import page\n"
    held += "def test_page_held_1():\n    assert page([], 1, 1) == 0\n"
    diff = unified_diff({"tests/test_held.py": b""}, {"tests/test_held.py": held.encode()})
    patch = diff.replace("--- a/tests/test_held.py", "new file mode 100644\n--- /dev/null")
    tasks.write_text(json.dumps({**task, "held_out_patch": patch}) + "\n")
    rolled = roll_out(tasks, script(tmp_path, [PLAN, GOOD]), tmp_path / "out", "--samples", "1")
    assert (rolled["attempts"], rolled["solved"]) == (1, 0)


def test_a_test_of_the_policys_own_pays_nothing(tasks, tmp_path):
    task = json.loads(tasks.read_text())
    tasks.write_text(json.dumps({**task, "test_patch": ""}) + "\n")
    test = "from shop.catalogue import page\n\ndef test_it():\n    assert page([1, 2], 1, 1) == [1]"
    own = f"create_file\npath: tests/test_reproduction.py\n```python\n{test}\n```"
    model = script(tmp_path, [own, PLAN, GOOD])
    rolled = roll_out(tasks, model, tmp_path / "out", "--samples", "1", code=1)
    assert "no test matches" in rolled["failed"]["shop"]


def test_a_test_that_fails_whatever_is_done_costs_no_reward(tasks, tmp_path):
    task = json.loads(tasks.read_text())
    broken = "def test_broken():\n    assert False\n"
    diff = unified_diff({"tests/test_broken.py": b""}, {"tests/test_broken.py": broken.encode()})
    patch = diff.replace("--- a/tests/test_broken.py", "new file mode 100644\n--- /dev/null")
    tasks.write_text(json.dumps({**task, "test_patch": task["test_patch"] + patch}) + "\n")
    model = script(tmp_path, [PLAN, BAD, PLAN, GOOD])
    rolled = roll_out(tasks, model, tmp_path / "out", "--samples", "2")
    assert (rolled["attempts"], rolled["solved"]) == (2, 1)
