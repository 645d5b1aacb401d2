"""`agent mcp` over standard input and output, by the SDK's client, on real repositories."""

import contextlib
import sys

import anyio
import psutil
import pytest
from mcp import MCPError

from agent.repository import only_run
from policies.experience.store import Store
from tests.agent import shop
from tests.faults.runs import tree
from tests.interface.client import answer, editor, played, refusal, runs
from tests.interface.test_api import status

SLOW = {
    "slow.py": "def double(number):\n    return number + number + 1\n",
    "test_slow.py": (
        "import time\nfrom slow import double\n\n\n"
        "def test_double():\n    time.sleep(600)\n    assert double(2) == 4\n"
    ),
}


@pytest.fixture
def repo(git_repo):
    return git_repo(shop.files())


def test_an_editor_solves_and_verifies_and_its_files_stay_as_they_are(repo, tmp_path):
    lines = []

    async def note(progress, total, message):
        assert total is None
        lines.append((progress, message))

    async def play():
        model = shop.script(tmp_path, [shop.PLAN, shop.GOOD])
        async with editor(model, tmp_path, mode="auto", roots=(repo,)) as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert set(tools) == {"solve", "verify"}
            assert tools["solve"].input_schema["required"] == ["issue"]
            assert "model" not in tools["solve"].input_schema["properties"]
            assert tools["verify"].annotations.read_only_hint
            for tool in tools.values():
                assert tool.output_schema["properties"]["schema"]["const"] == "apprentice.answer"

            found = answer(
                await client.call_tool("solve", {"issue": shop.ISSUE}, progress_callback=note)
            )
            assert (found.status, found.verified, found.applied) == ("verified", True, None)
            assert (found.tests_before, found.tests_after) == (
                {"failed": 2, "passed": 4},
                {"passed": 6},
            )
            judged = answer(await client.call_tool("verify", {"patch": found.diff}))
            assert judged.verified
            bad = await client.call_tool("verify", {"patch": "--- a/x.py\n+++ b/x.py\n"})
            assert answer(bad).status == "unverified"
            assert "NOT verified" in bad.content[0].text

    played(play)
    assert status(repo) == ""
    numbers = [number for number, _ in lines]
    assert numbers == sorted(set(numbers))
    assert {"verdict   verified"} <= {message for _, message in lines}
    assert runs() == []


def test_apply_writes_and_bad_input_is_told_with_the_next_step(repo, git_repo, tmp_path):
    other = git_repo({"a.py": ""})

    async def play():
        model = shop.script(tmp_path, [shop.PLAN, shop.GOOD])
        async with editor(model, repo, mode="auto", roots=None) as client:
            say = client.call_tool
            wrong = await say("solve", {"issue": "x", "repository": str(other)})
            assert f"{other} is not inside {repo}" in refusal(wrong)
            assert "--root" in refusal(wrong)
            assert "the issue is empty" in refusal(await say("solve", {"issue": " "}))
            assert "issue" in refusal(await say("solve", {}))
            assert "timeout" in refusal(await say("solve", {"issue": "x", "timeout": -1}))
            assert "the patch is empty" in refusal(await say("verify", {"patch": ""}))
            named = {"issue": "x", "tests": ["tests/test_none.py"]}
            assert "Name tests as the runner does" in refusal(await say("solve", named))
            assert status(repo) == ""
            found = answer(await say("solve", {"issue": shop.ISSUE, "apply": True}))
            assert (found.applied, found.files) == ("working tree", ("shop/catalogue.py",))

    played(play)
    assert status(repo) == " M shop/catalogue.py\n"


def test_a_cancelled_run_leaves_nothing_and_the_server_goes_on(git_repo, tmp_path):
    repo = git_repo(SLOW)
    before = tree(repo)

    async def play():
        model = shop.script(tmp_path, [])
        async with editor(model, tmp_path, roots=(repo,)) as client:
            with anyio.CancelScope() as scope:

                async def note(progress, total, message):
                    if message.startswith("sandbox"):
                        scope.cancel()

                await client.call_tool(
                    "solve", {"issue": "double(2) is 5", "apply": True}, progress_callback=note
                )
            assert scope.cancelled_caught
            # The next call waits for the first one to be gone.
            told = refusal(await client.call_tool("verify", {"patch": " "}))
            assert "the patch is empty" in told
            assert runs() == []

    played(play)
    with Store.open() as store:
        assert store.status(store.resolve("last")) == "interrupted"
    with only_run(repo):
        assert tree(repo) == before


def test_a_server_that_is_killed_takes_its_run_along(git_repo, tmp_path):
    repo = git_repo(SLOW)
    killed = []

    async def note(progress, total, message):
        if message.startswith("sandbox"):
            servers = [p for p in psutil.Process().children() if "mcp" in p.cmdline()]
            killed.extend(servers)
            for server in servers:
                server.kill()

    async def play():
        async with editor(shop.script(tmp_path, []), repo, roots=None) as client:
            await client.call_tool("solve", {"issue": "x"}, progress_callback=note)

    with contextlib.suppress(ExceptionGroup, MCPError):
        played(play)
    assert len(killed) == 1
    assert psutil.wait_procs(runs(), timeout=60)[1] == []
    with only_run(repo):
        assert status(repo) == ""


def test_without_the_sdk_the_command_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mcp", None)
    result = shop.agent("mcp")
    assert result.exit_code == 3
    assert "pip install 'apprentice-agent[mcp]'" in result.stderr


@pytest.mark.model
def test_an_editor_with_the_small_model(repo, monkeypatch):
    monkeypatch.setenv("APPRENTICE_STRATEGIES", "conversation")

    async def play():
        more = ["--samples", "2", "--timeout", "400"]
        async with editor("qwen2.5-coder-0.5b", repo, *more, roots=(repo,)) as client:
            found = answer(await client.call_tool("solve", {"issue": shop.ISSUE}))
            assert found.status in ("verified", "not_solved", "unverified")
            assert found.tokens.completion > 0
            assert found.verified == (found.tests_after == {"passed": 6})

    played(play)
    assert status(repo) == ""
