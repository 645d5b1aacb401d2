"""What a fresh runner does: install Apprentice and what the tests need, and use the real model."""

from __future__ import annotations

import pytest

from policies.hub.download import pull

MODEL = "qwen2.5-coder-0.5b"
CALC = {
    "calc.py": b'def add(a, b):\n    """Return the sum of two numbers."""\n    return a - b\n',
    "test_calc.py": (
        b"from calc import add\n\n\ndef test_add():\n    assert add(2, 3) == 5\n\n\n"
        b"def test_zero():\n    assert add(4, 0) == 4\n"
    ),
}


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_fresh_runner_installs_the_program(case):
    """As far as the gate, which lets nobody in here."""
    case.hosted.installed, case.hosted.timeout = False, 1400
    case.event["sender"]["login"] = "mallory"
    done = case.labelled("m", install="")["solve"]
    assert done.failed == "", done.log
    assert "may not write" in done.log
    assert done.outputs["propose"] == "false"


@pytest.mark.model
@pytest.mark.timeout(1500)
def test_the_small_model_from_the_label_to_the_answer(new_case):
    pull(MODEL)
    case = new_case(CALC)
    case.hosted.timeout, case.hosted.strategies = 1400, ""
    case.says(title="add(2, 3) returns -1 instead of 5", body="")
    install = "python -m pip install --quiet pytest"
    jobs = case.labelled(MODEL, install=install, samples="6", timeout="1300")
    assert [job.failed for job in jobs.values()] == ["", ""], jobs["solve"].log
    if case.memory.pulls:
        (opened,) = case.memory.pulls
        assert "**Verified**" in opened["body"]
        assert "| passed | 1 | 2 |" in opened["body"]
        (branch,) = case.branches
        assert case.git("diff", "--name-only", "main", branch) == "calc.py\n"
    else:
        (said,) = case.memory.comments
        assert "not solved" in said["body"]
        assert case.branches == []
