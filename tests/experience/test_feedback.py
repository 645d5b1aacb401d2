"""What people made of a patch, and trajectories that come from another store."""

from __future__ import annotations

import json

import pytest

from agent.ui.trajectory import render
from policies.experience.events import Feedback
from policies.experience.store import Store, StoreError
from tests.agent import shop
from tests.documents import conforms

from . import samples


def trajectory():
    """A run that nobody has judged."""
    return samples.trajectory()[:-1]


@pytest.fixture
def solved() -> str:
    with Store.open() as store, store.begin() as writer:
        for event in trajectory():
            writer.append(event)
    return writer.id


def test_feedback_follows_the_end_and_is_shown(solved):
    token = "ghp_" + "a1B2" * 9
    done = shop.agent("experience", "feedback", "last", "kept", "--note", f"good {token}")
    assert (done.exit_code, done.stdout) == (0, f"{solved}: kept\n")
    done = shop.agent("experience", "feedback", solved, "reverted", "--json")
    told = conforms(json.loads(done.stdout))
    given = told["feedback"]
    assert (told["trajectory"], given["outcome"], given["source"]) == (solved, "reverted", "user")
    with Store.open() as store:
        events = list(store.events(solved))
        assert store.status(solved) == "solved"
    assert [event.kind for event in events[-3:]] == ["finished", "feedback", "feedback"]
    assert token not in events[-2].note
    shown = "\n".join(text.plain for text in render(events))
    assert "feedback  kept, says user\n  good [REDACTED" in shown
    assert "feedback  kept" in shop.agent("experience", "show", "last").stdout


def test_feedback_that_cannot_be_taken(solved):
    assert shop.agent("experience", "feedback", "last", "liked").exit_code == 2
    assert shop.agent("experience", "feedback", "zzz", "kept").exit_code == 2
    with Store.open() as store, store.begin() as writer:
        writer.append(trajectory()[0])
        with pytest.raises(StoreError, match="still running"):
            store.add_feedback(writer.id, Feedback(outcome="kept"))
        with pytest.raises(StoreError, match="still running"):
            store.adopt(writer.id, trajectory())
        assert len(list(store.events(writer.id))) == 1


def test_a_trajectory_moves_between_stores_with_its_feedback(solved, tmp_path):
    file = tmp_path / "other.db"
    with Store.open() as store, Store.open(file) as other:
        assert other.adopt(solved, store.events(solved)) == len(trajectory())
        other.add_feedback(solved, Feedback(outcome="merged", source="github"))
        store.add_feedback(solved, Feedback(outcome="kept"))
        (there,), (here,) = other.trajectories(), store.trajectories()
        assert there.model_dump(exclude={"events", "seconds"}) == here.model_dump(
            exclude={"events", "seconds"}
        )
    done = shop.agent("experience", "import", file, "--json")
    assert conforms(json.loads(done.stdout))["added"] == {solved: 1}
    assert json.loads(shop.agent("experience", "import", file, "--json").stdout)["added"] == {
        solved: 0
    }
    with Store.open() as store:
        events = list(store.events(solved))
    assert [event.outcome for event in events if event.kind == "feedback"] == ["kept", "merged"]


def test_another_trajectory_of_the_same_id_is_refused(solved, tmp_path):
    forged = [trajectory()[0].model_copy(update={"issue": "another"}), *trajectory()[1:]]
    with Store.open() as store:
        before = list(store.events(solved))
        with pytest.raises(StoreError, match="another trajectory"):
            store.adopt(solved, forged)
        with pytest.raises(StoreError, match="no id"):
            store.adopt("../x", forged)
        assert list(store.events(solved)) == before


def test_what_is_no_store_is_not_imported(tmp_path):
    file = tmp_path / "bad.db"
    assert shop.agent("experience", "import", file).exit_code == 2
    file.write_text("no database " * 100)
    done = shop.agent("experience", "import", file)
    assert (done.exit_code, file.read_text()[:11]) == (3, "no database")
