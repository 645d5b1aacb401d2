"""The card of a small set of tasks, counted by hand."""

import io
import json

import pytest
from rich.console import Console

from agent.tasks.card import (
    Card,
    changed_lines,
    difficulty_of,
    labelled,
    make_card,
    markdown,
    table,
)
from agent.tasks.instance import Instance, split_of

PATCH = """\
diff --git a/shop.py b/shop.py
--- a/shop.py
+++ b/shop.py
@@ -1,3 +1,4 @@ def total():
 one
-two
+2
+--- three
 four
@@ -9 +10 @@
-nine
+9
\\ No newline at end of file
"""


def instance(number, **changes):
    usual = {
        "instance_id": f"t{number}",
        "repo": "pypi:Shop==1.0",
        "base_commit": "sha256:0123456789abcdef",
        "problem_statement": "x" * 10 * number,
        "patch": PATCH,
        "test_patch": "",
        "fail_to_pass": [f"test_{n}" for n in range(number)],
        "pass_to_pass": [],
        "family": "constants",
        "licence": "MIT",
    }
    return Instance.model_validate(usual | changes)


def instances():
    return [
        instance(1),
        instance(2, family="operators", repo="pypi:shop==2.0"),
        instance(3, repo="/somewhere/depot", base_commit="a" * 40, licence="", patch="no diff"),
        instance(4, family="", difficulty="<15 min fix"),
    ]


@pytest.mark.parametrize(
    ("rate", "difficulty"),
    [
        (None, "unmeasured"),
        (0.0, "unsolved"),
        (0.01, "hard"),
        (0.25, "hard"),
        (0.26, "medium"),
        (0.75, "medium"),
        (0.76, "easy"),
        (1.0, "easy"),
    ],
)
def test_difficulty_is_by_pass_rate(rate, difficulty):
    assert difficulty_of(rate) == difficulty


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_a_rate_is_between_0_and_1(rate):
    with pytest.raises(ValueError, match="between 0 and 1"):
        difficulty_of(rate)


def test_changed_lines_are_counted_by_hunk():
    assert changed_lines(PATCH) == 5
    assert changed_lines(PATCH.replace("\n", "\r\n")) == 5
    assert changed_lines("") == 0
    assert changed_lines("--- a\n+++ b\n") == 0
    assert changed_lines("--- /dev/null\n+++ b/n\n@@ -0,0 +1,2 @@\n+a\n+b\n-- \n+mail\n") == 2


def test_a_card_counts():
    card = make_card(instances(), {"t1": 0.0, "t2": 0.5, "elsewhere": 1.0})
    assert card.tasks == 4
    assert sum(card.splits.values()) == 4
    assert card.families == {"constants": 2, "operators": 1, "unknown": 1}
    assert card.difficulties == {"medium": 1, "unsolved": 1, "unmeasured": 2}
    assert (card.fail_to_pass, card.statement_characters, card.changed_lines) == (2.5, 25.0, 5.0)
    depot, shop = card.repositories
    assert (depot.name, depot.version, depot.licence, depot.tasks) == (
        "depot",
        "a" * 12,
        "unknown",
        1,
    )
    assert (shop.name, shop.version, shop.licence, shop.tasks) == ("shop", "1.0, 2.0", "MIT", 3)
    assert shop.split == split_of("shop")


def test_labels_are_set_where_measured_and_a_card_reads_them():
    before = instances()
    tasks = labelled(before, {"t1": 0.9, "t4": 0.1})
    assert [task.difficulty for task in tasks] == ["easy", "unmeasured", "unmeasured", "hard"]
    assert before[0].difficulty == "unmeasured"
    assert make_card(tasks).difficulties == {"easy": 1, "hard": 1, "unmeasured": 2}
    assert make_card(tasks, {"t1": 0.0}).difficulties == {"hard": 1, "unsolved": 1, "unmeasured": 2}


def test_a_card_does_not_depend_on_the_order_and_survives_json():
    card = make_card(instances())
    assert make_card(instances()[::-1]) == card
    assert json.loads(card.model_dump_json())["schema"] == "apprentice.card"
    assert Card.model_validate_json(card.model_dump_json()) == card


def test_many_versions_are_cut_short():
    tasks = [instance(n, repo=f"pypi:shop=={n}") for n in range(1, 6)]
    assert make_card(tasks).repositories[0].version == "1, 2, 3 and 2 more"


def printed(card):
    console = Console(file=io.StringIO(), width=80)
    console.print(table(card))
    return console.file.getvalue()


def test_tables_hold_every_number():
    card = make_card([instance(1, licence="[red]a|b"), instance(2)])
    shown = " ".join(printed(card).split())
    for text in (
        "changed lines of the fix (median) 5",
        "shop 1.0 MIT, [red]a|b",
        "constants 2 100.0",
    ):
        assert text in shown
    text = markdown(card)
    assert "## Repositories\n\n| repository | version | licence | split | tasks |\n| --- |" in text
    assert f"| shop | 1.0 | MIT, [red]a\\|b | {split_of('shop')} | 2 |\n" in text
    assert "| failing tests (median) | 1.5 |\n" in text
    assert "| unmeasured | 2 | 100.0 |\n" in text


def test_no_tasks():
    card = make_card([])
    assert (card.tasks, card.repositories, card.changed_lines) == (0, (), 0.0)
    assert "tasks" in printed(card)
    assert markdown(card).startswith("## Tasks\n")
    assert "Families" not in markdown(card)
