"""Bad input: a clear error, the right exit code, and nothing of the user's lost."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from agent.repository import only_run
from policies.experience.store import Store
from tests.agent import shop

DOCKER = pytest.param("docker", marks=pytest.mark.docker)


@pytest.fixture
def good(tmp_path):
    return shop.script(tmp_path, [shop.PLAN, shop.GOOD])


def status(repo):
    command = ["git", "-C", repo, "status", "--porcelain"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def last_events():
    with Store.open() as store:
        return list(store.events(store.resolve("last")))


def test_no_repository(tmp_path, good):
    report = shop.solve(tmp_path, good)
    assert report["exit_code"] == 2
    assert "is not in a git repository" in report["message"]
    assert "git init" in report["hint"]


def test_no_commits(tmp_path, good):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    report = shop.solve(tmp_path, good)
    assert (report["exit_code"], "no commits yet" in report["message"]) == (2, True)


def test_bare_repository(tmp_path, good):
    subprocess.run(["git", "init", "-q", "--bare", tmp_path / "bare"], check=True)
    report = shop.solve(tmp_path / "bare", good)
    assert (report["exit_code"], "bare repository" in report["message"]) == (2, True)


def test_submodules(git_repo, good):
    repo = git_repo(shop.files())
    add = [
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        git_repo({"a": "a"}),
        "lib",
    ]
    subprocess.run(["git", "-C", repo, *add], check=True)
    report = shop.solve(repo, good)
    assert (report["exit_code"], report["message"]) == (2, "submodules are not supported: lib")


def test_binary_other_encodings_and_large_files_do_no_harm(git_repo, good):
    extra = {
        "logo.png": bytes(range(256)) * 64,
        "shop/latin.py": "# é\nNAME = 'é'\n".encode("latin-1"),
        "data/big.csv": b"1,2,3\n" * 1_750_000,
        "shop/null.py": b"x = '\x00'\n",
    }
    repo = git_repo({**shop.files(), **extra})
    assert shop.solve(repo, good)["status"] == "verified"
    assert status(repo) == " M shop/catalogue.py\n"


def test_source_in_another_encoding_is_named(git_repo, tmp_path):
    files = shop.files()
    files["shop/catalogue.py"] = b"# -*- coding: latin-1 -*-\n# \xe9\n" + files["shop/catalogue.py"]
    read = {"tool_calls": [{"name": "read_file", "arguments": {"path": "shop/catalogue.py"}}]}
    model = shop.script(tmp_path, [shop_plan(), read], calls_tools=True)
    report = shop.solve(git_repo(files), model, "--samples", "1", "--rounds", "1")
    assert report["exit_code"] in (1, 3)
    seen = [event.text for event in last_events() if event.kind == "observed"]
    assert any("UTF-8" in text for text in seen)


def shop_plan():
    call = {"name": "plan", "arguments": {"cause": "x", "symbol": shop.SYMBOL}}
    return {"tool_calls": [call]}


@pytest.mark.slow
def test_tests_that_hang_are_stopped_and_can_be_fixed(git_repo, tmp_path):
    files = shop.files()
    loop = b"    while number:\n        pass\n    start = number * size\n"
    files["shop/catalogue.py"] = files["shop/catalogue.py"].replace(
        b"    start = number * size\n", loop
    )
    model = shop.script(tmp_path, [shop.PLAN, shop.GOOD])
    report = shop.solve(git_repo(files), model, "--test-timeout", "6")
    assert report["tests_before"]["tests/test_shop.py::test_first_page"] == "hung"
    assert report["status"] == "verified"


def test_tests_that_crash_the_interpreter_are_failures(git_repo, good):
    files = shop.files()
    crash = b"    import os\n    os._exit(0)\n    start = number * size\n"
    files["shop/catalogue.py"] = files["shop/catalogue.py"].replace(
        b"    start = number * size\n", crash
    )
    report = shop.solve(git_repo(files), good)
    assert report["tests_before"]["tests/test_shop.py::test_first_page"] == "error"
    assert report["tests_before"]["tests/test_shop.py::test_basket"] == "passed"
    assert report["status"] == "verified"


def test_tests_that_flood_the_output_are_capped(git_repo, good):
    files = shop.files()
    flood = b"    for _ in range(200):\n        print('x' * 100_000)\n    start = number * size\n"
    files["shop/catalogue.py"] = files["shop/catalogue.py"].replace(
        b"    start = number * size\n", flood
    )
    report = shop.solve(git_repo(files), good)
    assert report["status"] == "verified"
    assert max(len(e.output) for e in last_events() if e.kind == "tested") < 100_000


def test_tests_that_need_missing_packages(git_repo, good):
    files = {"a.py": "x = 1\n", "tests/test_a.py": "import no_such_package\n\ndef test_a(): pass\n"}
    report = shop.solve(git_repo(files), good)
    assert report["exit_code"] == 3
    assert "not installed: no_such_package" in report["message"]
    assert "--env" in report["hint"]


def test_an_environment_without_pytest(git_repo, good, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "v"], check=True)
    report = shop.solve(git_repo(shop.files()), good, "--env", tmp_path / "v")
    assert report["exit_code"] == 3
    assert "pytest" in report["message"]


def test_no_tests_at_all(git_repo, good):
    report = shop.solve(git_repo({"a.py": "x = 1\n"}), good)
    assert (report["exit_code"], report["message"]) == (2, "no tests were found")
    assert "--test-cmd" in report["hint"]


def test_tests_that_all_pass_already(git_repo, tmp_path):
    files = {
        "a.py": "def f():\n    return 1\n",
        "test_a.py": "from a import f\n\ndef test_f():\n    assert f() == 1\n",
    }
    model = shop.script(tmp_path, [{"text": "no idea", "repeat": True}])
    report = shop.solve(git_repo(files), model)
    assert report["exit_code"] == 1
    assert report["message"].startswith("all 1 tests pass")
    assert "Add a failing test" in report["hint"]


@pytest.mark.parametrize("issue", ["", "  \n", "\x00\x07\u200b"])
def test_an_empty_issue(git_repo, issue):
    result = shop.agent("solve", issue, "--repo", git_repo({"a.py": ""}), "--json")
    assert json.loads(result.stdout)["message"] == "the issue is empty"
    assert result.exit_code == 2


def test_a_huge_issue_with_control_characters(git_repo, good, tmp_path):
    issue = tmp_path / "issue.txt"
    issue.write_text("page 1 is wrong \x1b[31m\x00\u202e" + "very " * 20_000 + "wrong")
    arguments = shop.solve_arguments(git_repo(shop.files()), good, "--issue-file", issue)
    arguments.remove(shop.ISSUE)
    assert json.loads(shop.agent(*arguments).stdout)["status"] == "verified"
    stored = last_events()[0].issue
    assert stored.startswith("page 1 is wrong [31mvery very")
    assert "characters cut" in stored
    assert len(stored) < 13_000


def test_issue_given_twice_or_not_at_all(tmp_path):
    assert shop.agent("solve").exit_code == 2
    assert shop.agent("solve", "x", "--issue-file", tmp_path / "x").exit_code == 2
    assert shop.agent("solve", "--issue-file", tmp_path / "missing").exit_code == 2


def in_mounts(setup, arguments):
    """Run the command line where `setup` (shell) has changed the mounts, seen by it alone."""
    unshare = ["unshare", "--mount"] if os.getuid() == 0 else ["unshare", "--mount", "-r"]
    command = [*unshare, "sh", "-ec", f'{setup}\nexec "$@"', "sh", sys.executable, "-m", "agent"]
    done = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True)
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def test_a_read_only_tree_is_refused_before_any_work(git_repo, good):
    repo = git_repo(shop.files())
    readonly = f"mount --bind {repo} {repo}; mount -o remount,ro,bind {repo}"
    code, report = in_mounts(readonly, shop.solve_arguments(repo, good))
    assert (code, report["exit_code"]) == (3, 3)
    assert "cannot be written" in report["message"]
    assert "--patch" in report["hint"]


def test_a_read_only_tree_gives_a_patch(git_repo, good, tmp_path):
    repo = git_repo(shop.files())
    readonly = f"mount --bind {repo} {repo}; mount -o remount,ro,bind {repo}"
    patch = tmp_path / "fix.patch"
    code, report = in_mounts(readonly, shop.solve_arguments(repo, good, "--patch", patch))
    assert (code, report["applied"]) == (0, str(patch))
    assert "(number - 1)" in patch.read_text()


@pytest.mark.parametrize("kilobytes", [16, 100, 160])
def test_a_full_disk_stops_the_run_before_anything_is_applied(
    git_repo, good, private_home, kilobytes
):
    repo = git_repo(shop.files())
    full = f"mount -t tmpfs -o size={kilobytes}k tmpfs {private_home}"
    code, report = in_mounts(full, shop.solve_arguments(repo, good))
    assert code == 3, report
    assert "disk" in report["message"] or "space" in report["message"], report
    assert status(repo) == ""


SLOW = {
    "a.py": "def f():\n    return 1\n",
    "test_a.py": "import subprocess\n\ndef test_f():\n    subprocess.run(['sleep', '{mark}'])\n",
}


def start_slow(git_repo, good, sandbox, mark):
    """Start a run whose tests sleep; returns it and the repository once they sleep."""
    files = {name: text.replace("{mark}", str(mark)) for name, text in SLOW.items()}
    repo = git_repo(files)
    command = [sys.executable, "-m", "agent", *shop.solve_arguments(repo, good, sandbox=sandbox)]
    run = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: sleeping(mark), 60)
    return run, repo


def sleeping(mark):
    return subprocess.run(["pgrep", "-f", f"sleep {mark}"], capture_output=True).returncode == 0


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.mark.parametrize("sandbox", ["bubblewrap", DOCKER])
def test_ctrl_c_ends_a_run_cleanly(git_repo, good, sandbox):
    run, repo = start_slow(git_repo, good, sandbox, 91_000 + len(sandbox))
    run.send_signal(signal.SIGINT)
    out, _ = run.communicate(timeout=10)
    assert run.returncode == 130
    assert json.loads(out)["status"] == "interrupted"
    wait_for(lambda: not sleeping(91_000 + len(sandbox)), 5)
    assert status(repo) == ""
    assert last_events()[-1].status == "interrupted"


@pytest.mark.parametrize("sandbox", ["bubblewrap", DOCKER])
def test_kill_leaves_nothing_running_and_the_trajectory_readable(git_repo, good, sandbox):
    run, repo = start_slow(git_repo, good, sandbox, 92_000 + len(sandbox))
    assert sandbox != "docker" or containers(run.pid)
    run.kill()
    run.communicate(timeout=10)
    wait_for(lambda: not sleeping(92_000 + len(sandbox)), 5)
    if sandbox == "docker":
        wait_for(lambda: not containers(run.pid), 5)
    assert status(repo) == ""
    assert [event.kind for event in last_events()] == ["task_started", "prepared"]
    with Store.open() as store:
        assert store.trajectories()[0].status == "interrupted"
    with only_run(repo):
        pass


def containers(pid):
    """Containers of a client process."""
    ask = ["docker", "ps", "-a", "--format", '{{.Label "apprentice.client"}}']
    clients = subprocess.run(ask, check=True, capture_output=True, text=True).stdout
    return [line for line in clients.splitlines() if line.split()[:1] == [str(pid)]]


def test_two_runs_at_once_in_one_repository(git_repo, good):
    run, repo = start_slow(git_repo, good, "bubblewrap", 93_000)
    try:
        report = shop.solve(repo, good)
        assert report["exit_code"] == 3
        assert f"another run is at work in {repo} (process {run.pid})" in report["message"]
    finally:
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=10)


def test_a_file_that_changes_meanwhile_is_not_overwritten(git_repo, tmp_path, monkeypatch):
    repo = git_repo(shop.files())
    model = shop.script(tmp_path, [shop.PLAN, shop.GOOD])
    from agent import apply

    real = apply.deliver

    def late(*arguments):
        (repo / "shop/catalogue.py").write_text("# the user typed on\n")
        return real(*arguments)

    monkeypatch.setattr(apply, "deliver", late)
    report = shop.solve(repo, model)
    assert report["exit_code"] == 3
    assert "has changed since the run began; nothing was written" in report["message"]
    assert (repo / "shop/catalogue.py").read_text() == "# the user typed on\n"
    assert report["diff"]


@pytest.mark.parametrize("damage", ["truncated", "altered"])
def test_a_damaged_model_is_named_with_the_way_out(git_repo, tmp_path, monkeypatch, damage):
    from policies.hub.catalogue import CATALOGUE

    entry = CATALOGUE["qwen2.5-coder-0.5b"]
    monkeypatch.setenv("APPRENTICE_MODELS", str(tmp_path))
    size = 1000 if damage == "truncated" else entry.bytes
    with (tmp_path / entry.file).open("wb") as file:
        file.write(b"GGUF")
        file.truncate(size)
    report = shop.solve(git_repo(shop.files()), entry.name)
    assert report["exit_code"] == 3
    assert entry.file in report["message"]
    assert f"agent models pull {entry.name} --force" in report["message"]


def test_an_unknown_model_names_near_ones(git_repo):
    report = shop.solve(git_repo(shop.files()), "qwen2.5-coder-2b")
    assert report["exit_code"] == 3
    assert "qwen2.5-coder-1.5b" in report["message"]


def test_unknown_sandbox_and_bad_numbers(git_repo, good):
    repo = git_repo(shop.files())
    assert shop.solve(repo, good, "--sandbox", "chroot")["exit_code"] == 2
    assert shop.solve(repo, good, "--samples", "0")["exit_code"] == 2
    assert shop.solve(repo, good, "--env", "/nowhere")["exit_code"] == 3
    assert shop.solve(repo, good, "--commit", "--dry-run")["exit_code"] == 2
