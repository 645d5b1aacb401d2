import json
import re

import pytest
from typer.testing import CliRunner

from agent.cli.experience import app
from agent.ui.text import printable
from agent.ui.trajectory import duration, render
from policies.experience.events import EVENT, Observed, Prompted, TaskStarted
from policies.experience.store import Store, default_path

from .samples import trajectory


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("APPRENTICE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FORCE_COLOR", raising=False)


@pytest.fixture
def solved() -> str:
    with Store.open() as store, store.begin() as writer:
        for event in trajectory():
            writer.append(event)
    return writer.id


def run(*arguments: str, code: int = 0):
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    return result


def test_nothing_recorded_yet_makes_no_store():
    assert "No trajectories yet" in run("list").stdout
    assert json.loads(run("list", "--json").stdout)["trajectories"] == []
    assert "there are none yet" in run("show", "last", code=2).stderr
    assert not default_path().exists()


def test_list(solved):
    out = run("list").stdout
    title, row = out.splitlines()
    assert title.split() == [
        *("id", "when", "repository", "issue", "model", "status", "attempts", "tokens", "time")
    ]
    for cell in (
        solved[:8],
        "calc",
        "add() subtracts",
        "qwen-1.5b",
        "solved",
        "900 + 40",
        "1m 05s",
    ):
        assert cell in row
    (summary,) = json.loads(run("list", "--json", "--limit", "1").stdout)["trajectories"]
    assert summary["id"] == solved
    assert summary["attempts"] == 1
    assert "No trajectories of 'other'" in run("list", "--repo", "other").stdout
    assert "solved" in run("list", "--repo", "calc").stdout


def test_show_json_gives_every_event(solved):
    lines = run("show", "last", "--json").stdout.splitlines()
    assert [json.loads(line)["kind"] for line in lines] == [event.kind for event in trajectory()]
    EVENT.validate_python(json.loads(lines[0]))


def test_show_reads_as_a_story(solved):
    out = run("show", solved[:12]).stdout
    order = [
        "add() subtracts",
        "tests, baseline",
        "1 failed",
        "calc.py::add",
        "── attempt 0, round 1, plan ──",
        "more characters (--full shows them)",
        "The operator is wrong.",
        "→ edit",
        r"\x1b[31mdone",
        "7 characters were never stored",
        "+    return a + b",
        "fixed:",
        "verdict  verified",
        "tamper not scored",
        "working tree",
        "finished  solved, exit 0, 1m 05s",
    ]
    places = [out.find(text) for text in order]
    assert -1 not in places, dict(zip(order, places, strict=True))
    assert places == sorted(places)
    assert "\x1b" not in out
    full = run("show", solved, "--full").stdout
    assert full.count("context line") == 400
    assert "--full" not in full


def test_the_diff_has_colours():
    styles = {}
    for paragraph in render(trajectory()):
        for start, end, style in paragraph.spans:
            styles[paragraph.plain[start:end].strip()] = str(style)
    assert styles["+    return a + b"] == "green"
    assert styles["-    return a - b"] == "red"
    assert styles["--- a/calc.py"] == "bold"


def test_hostile_texts_stay_text(solved):
    evil = "\x1b]0;owned\x07 \x9b31m [red]markup[/red] \r over \u202e \ud800 \x00"
    task = next(event for event in trajectory() if isinstance(event, TaskStarted))
    message = next(e for e in trajectory() if isinstance(e, Prompted)).message
    with Store.open() as store, store.begin() as writer:
        writer.append(
            task.model_copy(update={"issue": evil, "repository": evil, "policy_version": evil})
        )
        writer.append(Observed(tool=evil, ok=False, text=evil))
        writer.append(Prompted(message=message.model_copy(update={"content": evil})))
    for arguments in (["list"], ["list", "--json"], ["show", "last"], ["show", "last", "--json"]):
        out = run(*arguments).stdout
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", out), arguments
    assert "[red]markup[/red]" in run("show", "last").stdout
    assert "interrupted" in run("show", "last").stdout


def test_running_and_interrupted(solved):
    with Store.open() as store:
        writer = store.begin()
        assert "running" in run("list").stdout
        writer.close()
        assert "interrupted" in run("list").stdout
        assert run("show", "last").stdout.strip() == "interrupted"


def test_errors_name_the_next_step(solved):
    assert "agent experience list" in run("show", "zzz", code=2).stderr
    told = json.loads(run("show", "zzz", "--json", code=2).stdout)
    assert (told["schema"], told["status"]) == ("apprentice.error", "usage")
    with Store.open() as store:
        store.begin()
    assert "give more of the id" in run("show", "0", code=2).stderr
    default_path().write_bytes(b"not a database at all\n" * 300)
    default_path().with_name("experience.db-wal").unlink(missing_ok=True)
    for arguments in (["list"], ["show", "last"]):
        assert "restore a backup" in run(*arguments, code=3).stderr


def test_printable_keeps_lines_and_tabs():
    assert printable("a\tb\r\nc\rd\x1b[0m") == "a\tb\nc\\x0dd\\x1b[0m"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0s"),
        (0.44, "0.4s"),
        (12.4, "12s"),
        (59.7, "1m 00s"),
        (185, "3m 05s"),
        (7800, "2h 10m"),
    ],
)
def test_duration(seconds, text):
    assert duration(seconds) == text
