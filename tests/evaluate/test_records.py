"""Rows of evaluations as they lie in files: whole, cut off, and with what is no text."""

import json
from pathlib import Path

import pytest

from agent.config import Settings
from agent.evaluate.records import SAMPLES, Folder, Plan, export_predictions, read_predictions
from agent.evaluate.sample import Prediction
from agent.status import Status, UsageError
from agent.tasks.instance import Instance

ODD = "+\u2028 \x85 \udce9\n"


def tasks(*names):
    fields = {"repo": "x", "base_commit": "0", "problem_statement": "p", "patch": "+fix"}
    return [
        Instance(instance_id=n, test_patch="", FAIL_TO_PASS=["t"], PASS_TO_PASS=[], **fields)
        for n in names
    ]


def folder(path, **changes):
    plan = {"tasks_sha256": "0", "model": "m", "variant": "issue", "samples": 1}
    return Folder(path, Plan(**(plan | changes), settings=Settings()))


def line(task, patch, **more):
    return json.dumps({"instance_id": task, "model_patch": patch, **more}) + "\n"


def given(tmp_path, text, *names):
    path = tmp_path / "p.jsonl"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_predictions(str(path), tasks(*names))


def test_every_sample_of_every_task_has_a_prediction(tmp_path):
    text = line("a", "+1", model_name_or_path="mine") + line("a", "+2") + line("b", None)
    found = given(tmp_path, text + line("other", "+"), "a", "b", "c")
    assert (found.name, found.samples, found.bad) == ("mine", 2, ())
    rows = {key: (row.patch, row.message) for key, row in found.predictions.items()}
    lacking = ("", "no prediction")
    assert rows == {
        ("a", 0): ("+1", ""),
        ("a", 1): ("+2", ""),
        ("b", 0): ("", "no patch"),
        ("b", 1): lacking,
        ("c", 0): lacking,
        ("c", 1): lacking,
    }


def test_rows_that_are_no_predictions_are_told_and_passed_over(tmp_path):
    bad = '{"instance_id": ["a"], "model_patch": ""}\n[]\n{"instance_id": "a"}\n'
    text = bad + line("a", 3) + line("a", "+1") + line("a", "+2")[:20]
    found = given(tmp_path, text, "a")
    assert [row.patch for row in found.predictions.values()] == ["+1"]
    assert [row.line for row in found.bad] == [1, 2, 3, 4, 6]
    assert "is no JSON" in found.bad[-1].problem
    with pytest.raises(UsageError, match="no prediction for any"):
        given(tmp_path, bad, "a")


def test_lines_end_at_line_feeds_and_bytes_may_be_no_text(tmp_path):
    raw = '{"instance_id": "a", "model_patch": "+\u2028"}\n'.encode()
    raw += b'{"instance_id": "b", "model_patch": "+\xe9"}\n'
    found = given(tmp_path, raw, "a", "b")
    assert [row.patch for row in found.predictions.values()] == ["+\u2028", "+\udce9"]
    assert found.bad == ()


def test_the_digest_is_of_what_is_scored(tmp_path):
    texts = [line("a", "+1"), line("a", "+2"), line("a", "+1") + line("z", "+3")]
    one, other, same = (given(tmp_path, text, "a").digest for text in texts)
    assert one == same != other
    gold, base = (read_predictions(name, tasks("a")) for name in ("gold", "base"))
    assert gold.digest != base.digest
    assert [row.status for row in base.predictions.values()] == [Status.UNVERIFIED]


def test_rows_survive_what_patches_may_hold_and_a_cut(tmp_path):
    held = folder(tmp_path / "new" / "out")
    rows = [
        Prediction(instance_id=n, sample=0, patch=ODD, status=Status.VERIFIED) for n in ("a", "b")
    ]
    with held.open():
        held.samples.append(rows[0])
        path = held.path / SAMPLES
        path.write_bytes(path.read_bytes() + path.read_bytes()[:30])
        held.samples.append(rows[1])
        assert held.samples.rows() == rows
    (written,) = export_predictions(held.path, "m", rows)
    patches = [json.loads(row)["model_patch"] for row in written.read_text().splitlines()]
    assert patches == [ODD, ODD]


def test_a_folder_belongs_to_one_run_and_one_plan(tmp_path):
    again = pytest.raises(UsageError, match="another `agent eval` is at work")
    with folder(tmp_path).open(), again:
        folder(tmp_path).open().__enter__()
    with folder(tmp_path).open():
        pass
    with pytest.raises(UsageError, match="other tasks or settings"):
        folder(tmp_path, predictions_sha256="1").open().__enter__()
    assert Path(tmp_path / "run.json").exists()
