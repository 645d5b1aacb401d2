"""Evaluations of real tasks in real sandboxes, through the command line."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from agent.evaluate.results import Failure, Result
from agent.tasks.hide import unified_diff
from agent.tasks.instance import EnvironmentSetup, write_instances
from agent.workers.process import STOP_SECONDS
from tests.agent import shop
from tests.agent.shop import BAD, GOOD, PLAN, agent, script
from tests.documents import conforms
from tests.tasks.samples import TARGET, shop_task

pytestmark = pytest.mark.slow

GREEDY = [PLAN, GOOD]


@pytest.fixture
def task(git_repo):
    return shop_task(git_repo(shop.files()))


def write(path, *instances):
    write_instances(path, instances)
    return path


def evaluate(tasks, out, *more, code=0):
    fixed = ["--sandbox", "bubblewrap", "--no-plots", "--json", "--out", out]
    result = agent("eval", tasks, *fixed, *more)
    assert result.exit_code == code, (result.stdout, result.stderr)
    return conforms(json.loads(result.stdout))


def results(out):
    lines = (out / "results.jsonl").read_text().splitlines()
    return [Result.model_validate_json(line) for line in lines if line]


def copies(task, *names):
    return [task.model_copy(update={"instance_id": name}) for name in names]


def test_known_fixes_solve_and_untouched_bases_do_not(task, tmp_path):
    tasks = write(tmp_path / "t.jsonl", task)
    gold = evaluate(tasks, tmp_path / "gold", "--predictions", "gold")
    assert (gold["solved_tasks"], gold["tasks"]) == (1, 1)
    base = evaluate(tasks, tmp_path / "base", "--predictions", "base")
    assert (base["solved_tasks"], base["tasks"]) == (0, 1)
    (row,) = results(tmp_path / "base")
    assert row.reason == "2 of 2 failing tests still fail"


def test_the_agent_solves_a_task_and_is_scored_by_other_tests(task, tmp_path):
    tasks = write(tmp_path / "t.jsonl", task)
    model = script(tmp_path, GREEDY)
    summary = evaluate(tasks, tmp_path / "out", "--model", model)
    assert summary["solved_tasks"] == 1
    assert summary["claimed"] == 1
    (row,) = results(tmp_path / "out")
    assert row.resolved
    assert row.claimed
    assert row.failure is Failure.SOLVED
    assert row.completion_tokens > 0
    (prediction,) = map(json.loads, (tmp_path / "out/predictions.jsonl").read_text().splitlines())
    assert prediction.keys() == {"instance_id", "model_name_or_path", "model_patch"}
    again = evaluate(
        tasks, tmp_path / "again", "--predictions", tmp_path / "out" / "predictions.jsonl"
    )
    assert again["solved_tasks"] == 1


def test_a_wrong_patch_a_missing_one_and_a_false_one_are_told_apart(task, tmp_path):
    swapped = task.patch.replace("(number - 1) * size", "(number - 1) + size")
    breaking = task.patch.replace("(number - 1) * size", "(number - 1) * 10")
    rows = {
        "wrong": swapped,
        "breaking": breaking + _breaks_the_basket(),
        "unfit": task.patch.replace("start = number * size", "start = nothing"),
        "none": "",
        "tests": _removes_tests(task),
    }
    given = tmp_path / "p.jsonl"
    given.write_text(
        "".join(json.dumps({"instance_id": k, "model_patch": v}) + "\n" for k, v in rows.items())
    )
    tasks = write(tmp_path / "t.jsonl", *copies(task, *rows))
    summary = evaluate(tasks, tmp_path / "out", "--predictions", given, "--jobs", "2")
    assert summary["solved_tasks"] == 0
    ends = {row.instance_id: row.failure for row in results(tmp_path / "out")}
    assert ends == {
        "wrong": Failure.WRONG,
        "breaking": Failure.REGRESSION,
        "unfit": Failure.NOT_APPLICABLE,
        "none": Failure.NO_PATCH,
        "tests": Failure.WRONG,
    }


def _breaks_the_basket():
    source = shop.files()["shop/basket.py"]
    wrong = source + b"\n\nBasket.total = lambda self: 0\n"
    return unified_diff({"shop/basket.py": source}, {"shop/basket.py": wrong})


def _removes_tests(task):
    """A patch that makes the tests pass by emptying them."""
    header, _, body = task.test_patch.partition("@@")
    added = [line[1:] for line in body.splitlines() if line.startswith("+")]
    assert added
    lines = "".join(f"-{line}\n" for line in added)
    return f"{header}@@ -9,{len(added)} +9,0 @@\n{lines}"


def test_the_variant_without_tests_hides_them_from_the_agent(task, tmp_path):
    tasks = write(tmp_path / "t.jsonl", task)
    model = script(tmp_path, ["pass", *GREEDY] * 4)
    evaluate(tasks, tmp_path / "out", "--model", model, "--variant", "issue")
    (row,) = results(tmp_path / "out")
    assert row.variant == "issue"
    assert not row.claimed
    shown = subprocess.run(
        [sys.executable, "-m", "agent", "experience", "show", row.trajectory, "--full"],
        env={**os.environ, "APPRENTICE_HOME": str(tmp_path / "out")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "test_page_count" in shown or "tests pass" in shown
    assert "test_first_page" not in shown


def test_a_run_goes_on_and_does_nothing_twice(task, tmp_path):
    tasks = write(tmp_path / "t.jsonl", *copies(task, "one", "two"))
    out = tmp_path / "out"
    first = evaluate(tasks, out, "--predictions", "gold")
    lines = (out / "results.jsonl").read_bytes().splitlines(keepends=True)
    (out / "results.jsonl").write_bytes(lines[0] + lines[1][:30])
    again = evaluate(tasks, out, "--predictions", "gold")
    assert again["solved_tasks"] == first["solved_tasks"] == 2
    assert (out / "results.jsonl").read_bytes().startswith(lines[0])
    before = (out / "results.jsonl").stat().st_mtime_ns
    evaluate(tasks, out, "--predictions", "gold")
    assert (out / "results.jsonl").stat().st_mtime_ns == before
    refused = agent("eval", tasks, "--predictions", "base", "--out", out, "--sandbox", "bubblewrap")
    assert refused.exit_code == 2
    assert "holds a run with other tasks or settings" in refused.stderr


def test_bad_rows_are_told_and_the_others_are_scored(task, tmp_path):
    def changed(name, **update):
        return task.model_copy(update={"instance_id": name, **update})

    rows = [
        task,
        changed("wrong-ids", fail_to_pass=("tests/test_shop.py::test_nothing",)),
        changed("unreachable", repo="file:///nowhere/at-all.git"),
        changed("no-commit", base_commit="0" * 40),
        changed(
            "no-package",
            environment_setup=EnvironmentSetup(packages=("no-such-package-at-all==1",)),
        ),
        changed(
            "no-patch", test_patch="diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"
        ),
    ]
    tasks = tmp_path / "t.jsonl"
    tasks.write_text("\n".join([*(row.line for row in rows), '{"instance_id": "lacking"}', "{"]))
    summary = evaluate(tasks, tmp_path / "out", "--predictions", "gold", code=1)
    assert summary["solved_tasks"] == 1
    assert [point["tasks"] for point in summary["pass_at"]] == [1]
    assert (summary["unscored"], summary["problems"]) == (5, 2)
    reasons = {row.instance_id: row.reason for row in results(tmp_path / "out")}
    assert "1 tests of the row do not exist" in reasons["wrong-ids"]
    assert "git" in reasons["unreachable"]
    assert "0000000" in reasons["no-commit"] or "git:" in reasons["no-commit"]
    assert "cannot be installed as wheels" in reasons["no-package"]
    assert "does not apply" in reasons["no-patch"]


def test_tasks_without_a_prediction_count(task, tmp_path):
    tasks = write(tmp_path / "t.jsonl", *copies(task, "one", "two", "three"))
    given = tmp_path / "p.jsonl"
    rows = [("one", task.patch), ("one", ""), ("two", "Mend it.")]
    lines = [json.dumps({"instance_id": name, "model_patch": patch}) for name, patch in rows]
    given.write_text("\n".join([*lines, "[]", '{"instance_id"']))
    out = tmp_path / "out"
    summary = evaluate(tasks, out, "--predictions", given)
    assert (summary["tasks"], summary["samples"], summary["planned"]) == (3, 6, 6)
    assert summary["pass_at"][0]["estimate"] == pytest.approx(1 / 6)
    assert summary["overhead_seconds"] == 0
    ends = {(row.instance_id, row.sample): (row.failure, row.reason) for row in results(out)}
    assert ends["one", 1] == (Failure.NO_PATCH, "no patch")
    assert ends["two", 0][0] is Failure.NOT_APPLICABLE
    assert ends["three", 0] == (Failure.NO_PATCH, "no prediction")
    given.write_text(given.read_text().replace("Mend it.", "Mend them."))
    changed = agent("eval", tasks, "--predictions", given, "--out", out, "--sandbox", "bubblewrap")
    assert changed.exit_code == 2
    assert "is no JSON" in changed.stderr


def test_what_the_environment_ended_is_tried_again(task, tmp_path):
    tasks = tmp_path / "t.jsonl"
    tasks.write_text(task.line + "\n{\n")
    out = tmp_path / "out"
    model = script(tmp_path, [])
    more = ("--model", model, "--ids", "shop")
    first = evaluate(tasks, out, *more, code=1)
    assert (first["unscored"], first["problems"]) == (1, 0)
    assert not (out / "samples.jsonl").exists()
    script(tmp_path, GREEDY)
    again = evaluate(tasks, out, *more)
    assert (again["solved_tasks"], again["problems"]) == (1, 0)


def test_one_folder_serves_one_run_at_a_time(task, tmp_path):
    tasks = write(tmp_path / "t.jsonl", task)
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        arguments = ["--predictions", "gold", "--out", tmp_path, "--sandbox", "bubblewrap"]
        refused = agent("eval", tasks, *arguments)
    assert refused.exit_code == 2
    assert "another `agent eval` is at work" in refused.stderr


def test_several_samples_give_pass_at_k(task, tmp_path, monkeypatch):
    tasks = write(tmp_path / "t.jsonl", task)
    monkeypatch.setenv("APPRENTICE_ROUNDS", "1")
    model = script(tmp_path, [PLAN, BAD, *GREEDY])
    summary = evaluate(
        tasks, tmp_path / "out", "--model", model, "--samples", "2", "--attempts", "1"
    )
    assert [round(p["estimate"], 3) for p in summary["pass_at"]] == [0.5, 1.0]


@pytest.mark.parametrize("what", ["predictions", "model"])
def test_ctrl_c_records_nothing_wrong_and_leaves_nothing(task, tmp_path, what):
    tasks = write(tmp_path / "t.jsonl", *copies(task, "one", "two"))
    out = tmp_path / "out"
    more = ["--predictions", "gold"] if what == "predictions" else ["--model"]
    more += [script(tmp_path, GREEDY * 2)] if what == "model" else []
    command = [sys.executable, "-m", "agent", "eval", str(tasks), *more]
    command += ["--sandbox", "bubblewrap", "--no-plots", "--out", str(out), "--quiet"]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not _sandboxes(process.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    begun = time.monotonic()
    _, stderr = process.communicate(timeout=60)
    assert time.monotonic() - begun < STOP_SECONDS
    assert process.returncode == 130, stderr
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    assert not [row for row in _rows(out) if row.failure is Failure.CRASHED]
    summary = evaluate(tasks, out, *more)
    assert summary["solved_tasks"] == 2


def _sandboxes(pid):
    children = psutil.Process(pid).children(recursive=True)
    return [child for child in children if "bwrap" in _name(child)]


def _name(process):
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


def _rows(out):
    return results(out) if (out / "results.jsonl").exists() else []


def test_the_target_is_a_test_of_the_example(task):
    assert TARGET in task.fail_to_pass
