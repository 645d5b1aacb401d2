"""`agent solve` from end to end, in real sandboxes, with scripted policies."""

import sqlite3
import subprocess
import sys

import pytest

from agent import apply
from agent.api import verify
from agent.reproduce import imports, refusal
from agent.verify.verifier import Verifier
from policies.experience.events import Finished, Judged, Prompted, Sampled, TaskStarted
from policies.experience.prompt import prompt_of
from policies.experience.store import Store, default_path
from tests.agent import shop
from tools.testing.results import Failure, TestRun

FIRST_PAGE = "tests/test_shop.py::test_first_page"
BETTER = {
    "path": "shop/catalogue.py",
    "old": "    start = number * size\n",
    "new": "    start = (number - 1) * size\n",
}


@pytest.fixture
def repo(git_repo):
    return git_repo(shop.files())


def called(calls):
    """Replies that call one tool each."""
    return [{"tool_calls": [{"name": n, "arguments": arguments}]} for n, arguments in calls]


def git(repo, *arguments):
    command = ["git", "-C", repo, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize(
    "sandbox", ["bubblewrap", pytest.param("docker", marks=pytest.mark.docker)]
)
def test_a_verified_fix_is_applied_and_its_trajectory_is_complete(repo, tmp_path, sandbox):
    model = shop.script(tmp_path, [shop.PLAN, shop.GOOD])
    report = shop.solve(repo, model, sandbox=sandbox)
    assert (report["status"], report["applied"]) == ("verified", "working tree")
    assert "(number - 1) * size" in (repo / "shop/catalogue.py").read_text()
    assert git(repo, "status", "--porcelain") == " M shop/catalogue.py\n"
    assert set(report["tests_after"].values()) == {"passed"}
    with Store.open() as store:
        events = list(store.events(store.resolve("last")))
    assert isinstance(events[0], TaskStarted)
    assert isinstance(events[-1], Finished)
    samples = [event for event in events if isinstance(event, Sampled)]
    assert [sample.phase for sample in samples] == ["plan", "edit"]
    for sample in samples:
        assert len(sample.completion_ids) == len(sample.logprobs) == len(sample.mask)
    assert samples[1].prefix_length == len(samples[0].prompt_delta_ids + samples[0].completion_ids)
    labels = [event.label for event in events if event.kind == "tested"]
    assert labels == ["baseline", "candidate", "verification"]
    assert next(e for e in events if isinstance(e, Judged)).rewards["resolved"] == 1.0


def test_a_patch_that_was_applied_is_told_when_the_store_fails_after_it(
    repo, tmp_path, monkeypatch
):
    def deliver(*arguments):
        done = real(*arguments)
        full = "CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'full'); END"
        with sqlite3.connect(default_path()) as db:
            db.execute(full)
        return done

    real = apply.deliver
    monkeypatch.setattr(apply, "deliver", deliver)
    report = shop.solve(repo, shop.script(tmp_path, [shop.PLAN, shop.GOOD]))
    assert (report["status"], report["applied"]) == ("verified", "working tree")
    assert "The end of this run is not in the store" in report["hint"]
    assert "(number - 1) * size" in (repo / "shop/catalogue.py").read_text()


def test_what_failed_when_it_was_traced_is_not_asked_to_fail_again(repo, tmp_path, monkeypatch):
    def spied(verifier, test):
        seen.append(verifier.failed_twice)
        return real(verifier, test)

    seen, real = [], Verifier._fails_without
    monkeypatch.setattr(Verifier, "_fails_without", spied)
    model = shop.script(tmp_path, [shop.PLAN, shop.GOOD])
    assert shop.solve(repo, model, "--patch", tmp_path / "fix.patch")["status"] == "verified"
    verify(repo, (tmp_path / "fix.patch").read_text(), environment=sys.prefix, sandbox="bubblewrap")
    assert seen == [True, False]


def test_a_wrong_patch_is_criticised_and_revised(repo, tmp_path):
    model = shop.script(tmp_path, [shop.PLAN, shop.BAD, shop.CRITIQUE, shop.GOOD])
    report = shop.solve(repo, model)
    assert (report["status"], report["attempts"]) == ("verified", 1)


def test_malformed_answers_are_explained_and_survived(repo, tmp_path):
    broken = shop.GOOD.replace("def page(items, number, size=10):", "def page(items, number")
    model = shop.script(
        tmp_path, ["I think", "no block", shop.BAD, shop.CRITIQUE, broken, shop.GOOD]
    )
    assert shop.solve(repo, model)["status"] == "verified"
    with Store.open() as store:
        text = "\n".join(
            e.message.content
            for e in store.events(store.resolve("last"))
            if e.kind == "prompted" and e.phase == "edit"
        )
    assert "first line must be one of: edit_symbol; it was 'no block'" in text
    assert "does not parse: '(' was never closed" in text


def test_a_policy_that_calls_tools_works_freely(repo, tmp_path):
    weaker = {"symbol": "tests/test_shop.py::test_basket", "code": "def test_basket(): pass"}
    calls = [
        ("plan", {"cause": "x", "symbol": shop.SYMBOL}),
        ("read_file", {"path": "shop/catalogue.py"}),
        ("shell", {"command": "ls shop"}),
        ("edit_symbol", weaker),
        ("run_tests", {"tests": [FIRST_PAGE, "tests/test_shop.py::test_none"]}),
        ("replace_text", BETTER),
        ("run_tests", {}),
        ("submit", {}),
    ]
    report = shop.solve(repo, shop.script(tmp_path, called(calls), calls_tools=True))
    assert report["status"] == "verified"
    assert (report["located_by"], report["suspects"][0][0]) == ("tests", shop.SYMBOL)
    with Store.open() as store:
        events = list(store.events(store.resolve("last")))
    before, after = (e.text for e in events if e.kind == "observed" and e.tool == "run_tests")
    assert before.startswith("1 failed, 1 missing")
    assert f"no result of tests/test_shop.py::test_none\n## {FIRST_PAGE}\n" in before
    assert "failed" not in after
    refused = [e.text for e in events if e.kind == "observed" and not e.ok]
    assert refused == [
        "tests/test_shop.py::test_basket is protected: change the source, not the tests."
    ]


@pytest.mark.slow
def test_what_tests_write_is_no_part_of_the_patch(git_repo, tmp_path):
    writes = "import time\n\ndef test_log():\n    open(f'{time.time_ns()}.tmp', 'w').write('x')\n"
    repo = git_repo({**shop.files(), "tests/test_log.py": writes})
    there = "    wanted = text.casefold()\n"
    breaks = {"path": BETTER["path"], "old": there, "new": "    wanted = text\n"}
    calls = [
        ("plan", {"cause": "x", "symbol": shop.SYMBOL}),
        ("run_tests", {}),
        ("replace_text", BETTER),
        ("replace_text", breaks),
        ("submit", {}),
        ("critique", {"mistake": "x", "symbol": shop.SYMBOL}),
        ("replace_text", {**breaks, "old": breaks["new"], "new": there}),
        ("submit", {}),
    ]
    model = shop.script(tmp_path, called(calls), calls_tools=True)
    report = shop.solve(repo, model, "--test", FIRST_PAGE)
    assert (report["status"], report["files"]) == ("verified", ["shop/catalogue.py"])
    assert ".tmp" not in report["diff"]
    assert list(repo.glob("*.tmp")) == []


@pytest.mark.slow
def test_what_was_seen_long_ago_makes_room_for_more(git_repo, tmp_path):
    lines = "".join(f"line {number} of the notes\n" for number in range(200))
    repo = git_repo({**shop.files(), "notes.txt": lines})
    calls = [
        ("plan", {"cause": "x", "symbol": shop.SYMBOL}),
        *[("read_file", {"path": "notes.txt"})] * 9,
        ("replace_text", BETTER),
        ("submit", {}),
    ]
    model = shop.script(tmp_path, called(calls), calls_tools=True, context_tokens=35_000)
    report = shop.solve(repo, model, "--samples", "1", "--budget-tokens", "1000000")
    assert report["status"] == "verified"
    with Store.open() as store:
        events = list(store.events(store.resolve("last")))
    left_out = max(e.observations for e in events if e.kind == "shortened")
    seen = [message for message in prompt_of(events, 0) if message.role == "tool"]
    told = ["characters left out" in message.content for message in seen]
    assert told == [False, *[True] * (left_out - 1), *[False] * (len(seen) - left_out)]
    assert left_out > 1


def test_uncommitted_work_is_kept_and_part_of_the_task(repo, tmp_path):
    basket = repo / "shop/basket.py"
    basket.write_text(basket.read_text() + "\n# my own work\n")
    (repo / "notes.txt").write_text("mine")
    assert shop.solve(repo, shop.script(tmp_path, [shop.PLAN, shop.GOOD]))["status"] == "verified"
    assert basket.read_text().endswith("# my own work\n")
    assert (repo / "notes.txt").read_text() == "mine"


def test_commit_holds_the_fix_alone(repo, tmp_path):
    (repo / "notes.txt").write_text("mine")
    model = shop.script(tmp_path, [shop.PLAN, shop.GOOD])
    hook = repo / ".git/hooks/pre-commit"
    hook.write_text("#!/bin/sh\ntouch hook-ran\nexit 1\n")
    hook.chmod(0o755)
    report = shop.solve(repo, model, "--commit")
    assert report["applied"].startswith("commit ")
    assert git(repo, "show", "--name-only", "--format=%s").split("\n")[0] == f"Fix: {shop.ISSUE}"
    assert git(repo, "status", "--porcelain") == "?? notes.txt\n"
    assert not (repo / "hook-ran").exists()


@pytest.mark.slow
def test_branch_patch_and_dry_run_leave_the_tree_alone(repo, tmp_path):
    model = shop.script(tmp_path, [shop.PLAN, shop.GOOD])
    assert shop.solve(repo, model, "--branch", "fix/page")["applied"] == "branch fix/page"
    assert "(number - 1)" in git(repo, "show", "fix/page:shop/catalogue.py")
    assert shop.solve(repo, model, "--branch", "fix/page")["status"] == "usage"
    patch = tmp_path / "fix.patch"
    assert shop.solve(repo, model, "--patch", patch)["applied"] == str(patch)
    assert shop.solve(repo, model, "--dry-run")["applied"] is None
    assert git(repo, "status", "--porcelain") == ""
    git(repo, "apply", "--check", patch)


def test_what_is_not_verified_is_applied_only_when_asked(repo, tmp_path):
    cheat = shop.edit("(number - 1) * size", "    import pytest\n")
    model = shop.script(tmp_path, [shop.PLAN, cheat, shop.PLAN, cheat])
    report = shop.solve(repo, model, "--samples", "1")
    assert (report["status"], report["exit_code"]) == ("not_solved", 1)
    assert git(repo, "status", "--porcelain") == ""
    with Store.open() as store:
        events = list(store.events(store.resolve("last")))
    judged = next(event for event in events if event.kind == "judged")
    assert judged.findings == ("imports the test framework (pytest) in shop/catalogue.py",)
    assert judged.rewards["tamper"] == 1.0


def test_without_a_failing_test_the_policy_writes_one_and_the_fix_stays_unverified(
    git_repo, tmp_path
):
    files = shop.files()
    kept = files["tests/test_shop.py"].split(b"def test_first_page")[0]
    rest = files["tests/test_shop.py"].split(b"def test_page_starts_at_one")[1]
    files["tests/test_shop.py"] = kept + b"def test_page_starts_at_one" + rest
    repo = git_repo(files)
    good = "create_file\npath: tests/test_reproduction.py\n```python\n{}\n```"
    passing = good.format("def test_nothing():\n    assert True")
    unrelated = good.format("def test_it():\n    assert missing_name")
    shows = good.format(
        "from shop.catalogue import page\n\ndef test_it():\n    pytest.importorskip('shop')\n"
        "    assert page([1, 2], 1, 1) == [1]"
    )
    replies = [passing, unrelated, shows, shop.PLAN, shop.GOOD]
    report = shop.solve(repo, shop.script(tmp_path, replies))
    assert (report["status"], report["exit_code"]) == ("unverified", 1)
    assert report["targets"] == ["tests/test_reproduction.py::test_it"]
    with Store.open() as store:
        events = list(store.events(store.resolve("last")))
    said = [e.message.content for e in events if isinstance(e, Prompted) and e.attempt == -1]
    assert "from shop.catalogue import page" in said[0]
    assert "no test of it fails before the fix" in said[1]
    assert "NameError" in said[2]
    assert len(said) == 3
    assert git(repo, "status", "--porcelain") == ""
    applied = shop.solve(repo, shop.script(tmp_path, replies), "--apply-unverified")
    assert applied["applied"] == "working tree"
    assert git(repo, "status", "--porcelain") == " M shop/catalogue.py\n"
    git(repo, "checkout", "-q", ".")
    shop.solve(repo, shop.script(tmp_path, replies), "--apply-unverified", "--with-test")
    new = "?? tests/test_reproduction.py\n"
    assert git(repo, "status", "--porcelain") == f" M shop/catalogue.py\n{new}"
    assert (repo / "tests" / "test_reproduction.py").read_text().startswith("import pytest\nfrom")


@pytest.mark.slow
def test_several_tests_are_written_where_edits_are_searched_for(git_repo, tmp_path, monkeypatch):
    monkeypatch.setenv("APPRENTICE_STRATEGIES", "search")
    library = "def double(x):\n    return x * 3\n"
    repo = git_repo({"lib.py": library, "test_lib.py": "def test_one():\n    assert True\n"})
    head = "create_file\npath: test_reproduction{}.py\n```python\nfrom lib import double\n\n"
    body = "def test_it():\n    assert double({}) == {}\n```"
    cases = [("", 2, 4), ("_2", 4, 8), ("_3", 4, 8), ("_3", 5, 11)]
    written = [head.format(number) + body.format(*case) for number, *case in cases]
    report = shop.solve(repo, shop.script(tmp_path, written))
    assert report["status"] == "unverified"
    assert report["votes"] == [2, 3]
    assert "2 of 3 pass" in report["message"]
    assert "+    return x * 2" in report["diff"]
    with Store.open() as store:
        events = list(store.events(store.resolve("last")))
    said = [e.message.content for e in events if isinstance(e, Prompted) and e.attempt == -1]
    assert ["kept" in text for text in said] == [False, True, True, False]
    assert "the same test again" in said[3]


@pytest.mark.parametrize(
    ("issue", "raised", "accepted"),
    [
        ("page() raises IndexError", "IndexError", True),
        ("page() raises IndexError", "AssertionError", True),
        ("page() raises IndexError", "zlib.error", False),
        ("page() crashes", "KeyError", True),
        ("page() crashes", "DeprecationWarning", False),
        ("page() gives a DeprecationWarning", "DeprecationWarning", True),
    ],
)
def test_a_reproduction_fails_for_the_reason_that_the_issue_gives(issue, raised, accepted):
    test = "test_r.py::test_it"
    failure = Failure("it failed", exception=raised)
    run = TestRun({test: "failed"}, {test: failure}, 1, True, 0.1)
    assert (refusal(run, issue) == "") is accepted


def test_suspects_are_imported_from_where_they_are_defined():
    suspects = ["src/shop/page.py::Page.items", "src/shop/page.py::Page.next", "a.js::f"]
    suspects += ["shop/__init__.py::open_shop", "lib/till.py::pay", "lib.py::f"]
    found = ["from shop.page import Page", "from shop import open_shop", "from till import pay"]
    assert imports(suspects) == [*found, "from lib import f"]


def test_planner_and_critic_may_be_other_models(repo, tmp_path):
    def model(name, *replies):
        (tmp_path / name).mkdir()
        return shop.script(tmp_path / name, list(replies))

    editor = model("editor", shop.BAD, shop.GOOD)
    others = ("--planner", model("planner", shop.PLAN), "--critic", model("critic", shop.CRITIQUE))
    assert shop.solve(repo, editor, *others)["status"] == "verified"
    with Store.open() as store:
        events = list(store.events(store.resolve("last")))
    (started,) = (event for event in events if isinstance(event, TaskStarted))
    sampled = [event for event in events if isinstance(event, Sampled)]
    assert [event.phase for event in sampled] == ["plan", "edit", "critique", "edit"]
    versions = [event.policy_version for event in sampled]
    assert len(set(versions)) == 3
    assert versions[1] == versions[3]
    assert all(version in started.policy_version for version in versions)
    assert [any(event.mask) for event in sampled] == [False, True, False, True]


def test_named_tests_are_the_targets(repo, tmp_path):
    model = shop.script(tmp_path, [shop.PLAN, shop.GOOD])
    test = "tests/test_shop.py::test_first_page"
    assert shop.solve(repo, model, "--test", test, "--dry-run")["targets"] == [test]
    done = shop.solve(repo, model, "--test", "tests/test_shop.py::test_basket")
    assert (done["status"], done["exit_code"]) == ("nothing_to_do", 0)
    wrong = shop.solve(repo, model, "--test", "tests/test_shop.py::test_gone")
    assert (wrong["status"], wrong["exit_code"]) == ("usage", 2)


@pytest.mark.slow
def test_that_the_tests_take_too_long_is_told(git_repo, tmp_path):
    slow = "import time\n" + "".join(
        f"\ndef test_{n}():\n    time.sleep(0.5)\n    assert {n}\n" for n in range(12)
    )
    repo = git_repo({**shop.files(), "tests/test_slow.py": slow.encode()})
    model = shop.script(tmp_path, [shop.PLAN, shop.GOOD])
    limits = ("--test-timeout", "4", "--samples", "1", "--rounds", "1")
    report = shop.solve(repo, model, *limits)
    assert report["status"] == "not_solved"
    assert "raise --test-timeout" in report["hint"]


@pytest.mark.parametrize(
    ("more", "status", "advised"),
    [((), "not_solved", True), (("--test", "tests/test_shop.py"), "verified", False)],
)
def test_a_test_about_something_else_is_left_out_by_naming_the_others(
    git_repo, tmp_path, more, status, advised
):
    other = b"def test_other():\n    assert False\n"
    repo = git_repo({**shop.files(), "tests/test_other.py": other})
    model = shop.script(tmp_path, [shop.PLAN, shop.GOOD])
    report = shop.solve(repo, model, "--samples", "1", "--rounds", "1", *more)
    assert report["status"] == status
    assert ("name those that are with --test" in report["hint"]) == advised


def test_budgets_end_a_run(repo, tmp_path):
    replies = [{"text": shop.PLAN, "repeat": True}]
    report = shop.solve(repo, shop.script(tmp_path, replies), "--budget-tokens", "100")
    assert report["status"] == "not_solved"
    assert "budget of 100 tokens" in report["message"]


def test_other_test_runners_count_by_exit_code(git_repo, tmp_path):
    files = {"calc.py": "def double(x):\n    return x + x + 1\n"}
    repo = git_repo(
        {**files, "check.sh": 'test "$(python3 -c "import calc; print(calc.double(2))")" = 4\n'}
    )
    edit = "edit_symbol\nsymbol: calc.py::double\n```python\ndef double(x):\n    return x + x\n```"
    model = shop.script(tmp_path, ["plan\ncause: one too many\nsymbol: calc.py::double", edit])
    report = shop.solve(repo, model, "--test-cmd", "sh check.sh")
    assert (report["status"], report["targets"]) == ("verified", ["<command>"])


def test_secrets_are_neither_prompted_nor_stored(git_repo, tmp_path, private_home):
    secret = "ghp_" + "a1B2" * 9
    files = shop.files()
    source = files["shop/catalogue.py"].decode()
    leak = f'    token = "{secret}"\n    print(token)\n    start = number * size\n'
    files["shop/catalogue.py"] = source.replace("    start = number * size\n", leak).encode()
    report = shop.solve(git_repo(files), shop.script(tmp_path, [shop.PLAN, shop.GOOD]))
    assert report["status"] == "verified"
    with Store.open() as store:
        stored = "".join(e.model_dump_json() for e in store.events(store.resolve("last")))
    assert secret not in stored
    assert "[REDACTED:" in stored
    for path in private_home.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes()


def test_a_test_file_by_any_name_is_protected(git_repo, tmp_path):
    files = {
        "pytest.ini": "[pytest]\npython_files = check_*.py\n",
        "app/f.py": "def f():\n    return 1\n",
    }
    files["app/check_f.py"] = "from app.f import f\n\ndef test_f():\n    assert f() == 2\n"
    weaker = {"path": "app/check_f.py", "old": "== 2", "new": "== 1"}
    command = {"command": "sed -i 's/== 2/== 1/' app/check_f.py"}
    calls = [
        ("plan", {"cause": "x", "symbol": "app/f.py::f"}),
        ("replace_text", weaker),
        ("shell", command),
        ("submit", {}),
    ]
    model = shop.script(tmp_path, called(calls), calls_tools=True)
    report = shop.solve(git_repo(files), model, "--samples", "1")
    assert report["status"] == "not_solved"
    with Store.open() as store:
        judged = [e for e in store.events(store.resolve("last")) if e.kind == "judged"]
    assert judged[0].findings == ("changes a protected file: app/check_f.py",)


def test_a_full_context_ends_the_attempt_and_not_the_run(repo, tmp_path):
    script = [shop.PLAN, shop.GOOD]
    model = shop.script(tmp_path, script, context_tokens=100)
    report = shop.solve(repo, model, "--samples", "2")
    assert (report["status"], report["attempts"]) == ("not_solved", 2)
