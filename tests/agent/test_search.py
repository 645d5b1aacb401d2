"""Attempts by search and by infilling, end to end in real sandboxes, with scripted policies."""

from __future__ import annotations

from textwrap import indent

import pytest

from agent.choice import grammar
from policies.experience.events import Acted, Judged, Prompted, Sampled, Screened
from policies.experience.store import Store
from tests.agent import shop
from tests.agent.library import LIBRARY

CLAMP = "from lib import clamp\n\ndef test_middle():\n    assert clamp(5, 0, 10) == 5\n"
SEVERAL = CLAMP + "".join(
    f"\ndef test_{number}():\n    assert clamp({number}, 0, 10) == {number}\n" for number in (6, 7)
)
MORE = "\ndef test_ends():\n    assert (clamp(-1, 0, 10), clamp(11, 0, 10)) == (0, 10)\n"
TOTAL = (
    "from lib import total\n\ndef test_total():\n    assert total([1, 2]) == 3\n"
    "\ndef test_none():\n    assert total([]) == 0\n"
)
MISSING = (
    "from lib import missing\n\ndef test_missing():\n    assert missing({}, 'a') == 'none'\n"
    "\ndef test_found():\n    assert missing({'a': ' b '}, 'a') == 'b'\n"
)


def events(report):
    with Store.open() as store:
        return list(store.events(report["trajectory"]))


def of(kind, report):
    return [event for event in events(report) if isinstance(event, kind)]


def unasked(folder):
    """A policy of which no answer is of use."""
    return shop.script(folder, [{"text": "unused", "repeat": True}])


@pytest.fixture
def strategies(monkeypatch):
    return lambda *names: monkeypatch.setenv("APPRENTICE_STRATEGIES", ",".join(names))


def test_a_bug_is_found_without_a_completion(git_repo, tmp_path, strategies):
    strategies("search")
    repo = git_repo({"lib.py": LIBRARY, "test_lib.py": CLAMP + MORE})
    report = shop.solve(repo, unasked(tmp_path))
    assert report["status"] == "verified"
    assert "if value < high:" not in (repo / "lib.py").read_text()
    screened = of(Screened, report)
    assert screened
    assert screened[0].tried > screened[0].clean > 0


def test_the_policy_chooses_among_edits_that_pass_and_do_not_do_the_same(
    git_repo, tmp_path, strategies
):
    strategies("search")
    repo = git_repo({"lib.py": LIBRARY, "test_lib.py": SEVERAL})
    wanted = "-    if value < high:\n+    if value > high:"
    model = shop.script(tmp_path, [{"text": f"```diff\n{wanted}\n```", "repeat": True}])
    report = shop.solve(repo, model)
    assert report["status"] == "verified"
    assert "if value > high:" in (repo / "lib.py").read_text()
    (chosen,) = of(Sampled, report)
    options = chosen.grammar.count("-    ")
    assert report["rivals"] == options - 1 > 0
    assert "value >= high" not in chosen.grammar


def test_no_secret_is_written_by_the_policy(git_repo, tmp_path, strategies):
    strategies("search", "infill")
    secret = "ghp_" + "aB3" * 12
    source = (
        f"def fetch(get, tries):\n    if tries < 1:\n        tries = tries - 2  # {secret}\n"
        "    return get(tries)\n"
    )
    tests = "".join(
        f"def test_{n}():\n    assert fetch(lambda tries: tries, {n}) == {n}\n\n" for n in (0, 7)
    )
    repo = git_repo({"lib.py": source, "test_lib.py": f"from lib import fetch\n\n{tests}"})
    report = shop.solve(repo, unasked(tmp_path), "--samples", "2")
    for sampled in of(Sampled, report):
        assert secret not in sampled.grammar + sampled.text
        assert f"  # {secret[:6]}" not in sampled.grammar
    assert report["status"] == "verified"
    assert secret in (repo / "lib.py").read_text()


def test_nothing_is_asked_where_all_edits_that_pass_do_the_same(git_repo, tmp_path, strategies):
    strategies("search")
    repo = git_repo({"lib.py": LIBRARY, "test_lib.py": SEVERAL + MORE})
    report = shop.solve(repo, unasked(tmp_path))
    assert (report["status"], report["rivals"]) == ("verified", 0)
    assert of(Sampled, report) == []
    assert sum(event.clean for event in of(Screened, report)) > 1


@pytest.mark.slow
def test_search_goes_on_behind_edits_that_only_seem_to_pass(
    git_repo, tmp_path, strategies, monkeypatch
):
    strategies("search")
    monkeypatch.setattr("agent.context.evidence.MAX_PROBES", 1)
    monkeypatch.setattr("agent.trying.WANTED", 1)
    monkeypatch.setattr("agent.trying.CONFIRMED", 1)
    source = "def power(number, by):\n    return number * by\n"
    tests = (
        "import time\nfrom lib import power\n"
        "\ndef test_quick():\n    assert power(2, 3) != 6\n"
        "\ndef test_slow():\n    time.sleep(0.3)\n    assert power(2, 3) == 8\n"
    )
    repo = git_repo({"lib.py": source, "test_lib.py": tests})
    report = shop.solve(repo, unasked(tmp_path))
    assert report["status"] == "verified"
    assert len([event for event in of(Screened, report) if event.clean]) > 1


def test_places_come_again_when_all_were_tried(git_repo, tmp_path, strategies):
    strategies("infill")
    source = "def double(number):\n    return number + number + 1\n"
    test = "from lib import double\n\ndef test_it():\n    assert double(2) == 4\n"
    repo = git_repo({"lib.py": source, "test_lib.py": test})
    model = shop.script(tmp_path, [{"text": "```python\nreturn 0\n```", "repeat": True}])
    report = shop.solve(repo, model, "--samples", "3")
    assert report["status"] == "not_solved"
    asked = [sample for sample in of(Sampled, report) if sample.group]
    assert [{s.group for s in asked if s.attempt == number} for number in range(3)] == [
        {f"{number}.0", f"{number}.1"} for number in range(3)
    ]
    warmth = [next(s.sampling.temperature for s in asked if s.attempt == n) for n in range(3)]
    assert warmth == sorted({*warmth})


@pytest.mark.slow
def test_two_edits_are_found_when_the_first_helps(git_repo, tmp_path, strategies):
    strategies("search")
    library = LIBRARY.replace("found - 2 + 1", "found").replace("found = 0", "found = 1", 1)
    library = library.replace("found += number", "found -= number")
    tests = TOTAL + "\ndef test_one():\n    assert total([1]) == 1\n"
    repo = git_repo({"lib.py": library, "test_lib.py": tests})
    report = shop.solve(repo, unasked(tmp_path))
    assert report["status"] == "verified"


@pytest.mark.slow
def test_search_that_finds_nothing_leaves_the_tree_to_the_next_attempt(
    git_repo, tmp_path, strategies
):
    strategies("search", "conversation")
    repo = git_repo({"lib.py": LIBRARY, "test_lib.py": MISSING})
    symbol = "lib.py::missing"
    code = "def missing(table, key):\n    return table.get(key, 'none').strip()\n"
    model = shop.script(
        tmp_path,
        [
            f"plan\ncause: the key may be missing\nsymbol: {symbol}",
            f"edit_symbol\nsymbol: {symbol}\n```python\n{code}```",
        ],
    )
    report = shop.solve(repo, model, "--samples", "2")
    assert report["status"] == "verified"
    assert (repo / "lib.py").read_text() == LIBRARY.replace(
        LIBRARY[LIBRARY.index("def missing") :], code
    )


def test_a_line_is_filled_in(git_repo, tmp_path, strategies):
    strategies("infill")
    repo = git_repo({"lib.py": LIBRARY, "test_lib.py": MISSING})
    line = "found = table.get(key, 'none')"
    replies = [
        {
            "text": f"```python\n{line}\n```",
            "when": "wrong:\n```\nfound = table.get(key)",
            "repeat": True,
        },
        {"text": "```python\n    pass\n```", "when": "is missing in", "repeat": True},
        {"text": "```python\nreturn 0\n```", "repeat": True},
    ]
    report = shop.solve(repo, shop.script(tmp_path, replies))
    assert report["status"] == "verified"
    assert line in (repo / "lib.py").read_text()
    samples = of(Sampled, report)
    assert all(sample.group for sample in samples)
    (made,) = (event for event in of(Acted, report) if event.tool == "small_edit")
    writer = next(sample for sample in samples if line in sample.text)
    assert made.answer == writer.text
    assert (made.round, made.arguments["text"].strip()) == (writer.round, line)


def test_lines_are_added_in_a_gap(git_repo, tmp_path, strategies):
    strategies("infill")
    repo = git_repo({"lib.py": LIBRARY, "test_lib.py": MISSING})
    lines = "if found is None:\n    return 'none'"
    replies = [
        {"text": f"```python\n{lines}\n```", "when": "is missing in", "repeat": True},
        {"text": "```python\nfound = table[key]\n```", "repeat": True},
    ]
    report = shop.solve(repo, shop.script(tmp_path, replies))
    assert report["status"] == "verified"
    mended = indent(f"{lines}\nreturn found.strip()", "    ")
    assert mended in (repo / "lib.py").read_text()


def test_other_runners_try_edits_one_by_one(git_repo, tmp_path, strategies):
    strategies("search")
    check = "from lib import clamp\nassert clamp(5, 0, 10) == 5 and clamp(11, 0, 10) == 10\n"
    repo = git_repo({"lib.py": LIBRARY, "check.py": check})
    model = unasked(tmp_path)
    report = shop.solve(repo, model, "--test-cmd", "python3 check.py")
    assert report["status"] == "verified"
    assert of(Screened, report) == []
    made = [event for event in of(Acted, report) if event.tool == "small_edit"]
    assert made
    assert all(event.arguments["change"] for event in made)


@pytest.mark.slow
def test_edits_are_tried_one_by_one_where_the_tests_do_not_load(git_repo, tmp_path, strategies):
    strategies("search")
    files = {
        "lib.py": "def last(numbers):\n    return numbers[len(numbers)]\n",
        "table.py": "from lib import last\n\nLAST = last([1, 2, 3])\n",
        "test_table.py": "from table import LAST\n\ndef test_last():\n    assert LAST == 3\n",
        "test_other.py": "def test_other():\n    pass\n",
    }
    repo = git_repo(files)
    model = unasked(tmp_path)
    report = shop.solve(repo, model, "--test", "test_table.py::test_last")
    assert report["targets"] == ["test_table.py (collection)"]
    assert report["status"] == "verified"


@pytest.mark.slow
def test_the_next_edit_is_judged_when_the_first_is_refused(git_repo, tmp_path, strategies):
    strategies("search")
    tests = (
        "import pytest\nfrom lib import both\n\ndef test_it():\n    assert both(2, 2) == 4\n"
        "\n@pytest.mark.xfail(strict=True)\ndef test_product():\n    assert both(2, 3) == 6\n"
    )
    repo = git_repo({"lib.py": "def both(a, b):\n    return a - b\n", "test_lib.py": tests})
    wanted = "-    return a - b\n+    return a * b"
    model = shop.script(tmp_path, [{"text": f"```diff\n{wanted}\n```", "repeat": True}])
    report = shop.solve(repo, model, "--samples", "1")
    assert report["status"] == "verified"
    assert "a * b" not in (repo / "lib.py").read_text()
    assert next(event.verified for event in of(Judged, report)) is False


@pytest.mark.slow
def test_what_tests_leave_behind_does_not_fail_them_later(git_repo, tmp_path, strategies):
    strategies("search")
    once = (
        "from pathlib import Path\n\ndef test_once():\n"
        "    assert not Path('out').exists()\n    Path('out').write_text('x')\n"
    )
    repo = git_repo({"lib.py": LIBRARY, "test_lib.py": CLAMP + MORE, "test_once.py": once})
    report = shop.solve(repo, unasked(tmp_path))
    assert report["status"] == "verified"


def test_a_policy_that_calls_tools_is_not_searched_for(git_repo, tmp_path, strategies):
    strategies("search", "conversation")
    repo = git_repo({"lib.py": LIBRARY, "test_lib.py": CLAMP + MORE})
    call = {"name": "submit", "arguments": {}}
    model = shop.script(tmp_path, [{"tool_calls": [call], "repeat": True}], calls_tools=True)
    report = shop.solve(repo, model, "--samples", "1")
    assert report["status"] == "not_solved"
    assert of(Screened, report) == []


def test_the_prompt_of_a_choice_shows_the_failure_and_the_code(git_repo, tmp_path, strategies):
    strategies("search")
    repo = git_repo({"lib.py": LIBRARY, "test_lib.py": SEVERAL})
    report = shop.solve(repo, unasked(tmp_path))
    said = [event.message.content for event in of(Prompted, report) if event.attempt == 0]
    assert "test_middle" in said[1]
    assert "def clamp" in said[2]


def test_a_choice_admits_its_options_alone():
    text = grammar(['-a "b"\n+c\\d', "-\te", "-\te"])
    assert text == (r'root ::= "```diff\n" ("-a \"b\"\n+c\\d" | "-\te") "\n```"')
