"""The loop with the real small model: every token accounted for, no finished action malformed."""

import pytest

from agent.actions import parse_text
from agent.session import ids_digest
from agent.thoughts import PLAN
from policies.experience.store import Store
from policies.hub.download import pull
from tests.agent import shop
from tools.edit import EDIT_SYMBOL

MODEL = "qwen2.5-coder-0.5b"


@pytest.mark.model
def test_a_run_with_the_small_model_is_recorded_token_by_token(git_repo, monkeypatch):
    pull(MODEL)
    monkeypatch.setenv("APPRENTICE_STRATEGIES", "conversation")
    repo = git_repo(shop.files())
    report = shop.solve(repo, MODEL, "--samples", "2", "--rounds", "1")
    assert report["status"] in ("verified", "not_solved", "unverified")
    with Store.open() as store:
        events = list(store.events(store.resolve("last")))
    samples = [event for event in events if event.kind == "sampled"]
    assert samples
    ids: tuple[int, ...] = ()
    for sample in samples:
        assert len(sample.completion_ids) == len(sample.logprobs) == len(sample.mask)
        assert max(sample.logprobs) <= 0.0
        if sample.chosen and sample.prefix_length:
            assert len(ids) == sample.prefix_length
            assert ids_digest(ids) == sample.prefix_digest
            assert sample.usage.cached >= 0.9 * sample.prefix_length
        if sample.chosen:
            ids = ids[: sample.prefix_length] + sample.prompt_delta_ids + sample.completion_ids
    finished = [s for s in samples if s.chosen and s.finish_reason == "stop"]
    for sample in finished:
        assert parse_text(sample.text, [PLAN, EDIT_SYMBOL]).tool in ("plan", "edit_symbol")
    if report["status"] == "verified":
        assert set(report["tests_after"].values()) == {"passed"}
