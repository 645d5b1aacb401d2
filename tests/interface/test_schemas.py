"""What `--json` prints: published, current, and true of real output."""

import copy
import json

import pytest
from jsonschema import ValidationError

from agent.schemas import DOCUMENTS, write
from policies.experience.events import EVENT
from tests.agent import shop
from tests.documents import MODELS, SCHEMAS, conforms, published


def test_the_published_schemas_are_current(tmp_path):
    (tmp_path / "gone.json").write_text("{}")
    write(tmp_path)
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_text() for path in SCHEMAS.iterdir()}, "run `make schemas`"


def test_every_document_has_a_name_of_its_own_and_a_version():
    assert len(MODELS) == len(DOCUMENTS)
    for name, model in MODELS.items():
        schema = json.loads((SCHEMAS / f"{name.removeprefix('apprentice.')}.json").read_text())
        assert schema["properties"]["schema"]["const"] == name
        assert schema["properties"]["version"]["const"] == model.model_fields["version"].default
        assert {"schema", "version"} <= set(schema["required"])


def test_a_schema_lets_fields_be_added_but_none_be_missing_or_changed():
    models = json.loads(shop.agent("models", "list", "--json").stdout)
    schema = published("models")
    schema.validate({**models, "added": 1})
    changed = copy.deepcopy(models)
    changed["models"][0]["present"] = "yes"
    for wrong in ({**models, "version": 2}, {"schema": "apprentice.models"}, changed):
        with pytest.raises(ValidationError):
            schema.validate(wrong)


def test_a_run_and_what_is_told_of_it_later(git_repo, tmp_path):
    # `shop.solve` checks its own report.
    shop.solve(git_repo(shop.files()), shop.script(tmp_path, [shop.PLAN, shop.GOOD]))
    (told,) = conforms(json.loads(shop.agent("experience", "list", "--json").stdout))[
        "trajectories"
    ]
    lines = shop.agent("experience", "show", told["id"], "--json").stdout.splitlines()
    event = published("event")
    for line in lines:
        event.validate(json.loads(line))
        EVENT.validate_json(line)
    kinds = {json.loads(line)["kind"] for line in lines}
    assert {"task_started", "sampled", "tested", "judged", "applied", "finished"} <= kinds


def test_errors_checks_and_models(monkeypatch, tmp_path):
    monkeypatch.setenv("APPRENTICE_MODELS", str(tmp_path))
    error = shop.agent("solve", "it is broken", "--repo", tmp_path, "--json")
    told = conforms(json.loads(error.stdout))
    assert (told["schema"], told["exit_code"]) == ("apprentice.error", error.exit_code)
    conforms(json.loads(shop.agent("models", "list", "--json").stdout))
    conforms(json.loads(shop.agent("doctor", "--repo", tmp_path, "--json").stdout))
