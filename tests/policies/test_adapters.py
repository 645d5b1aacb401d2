"""The store of adapters: whole or not there, checked, versioned, promoted and rolled back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent.cli import app
from policies.base import PolicyError
from policies.choose import open_policy
from policies.hub import adapters, catalogue, store
from policies.hub.adapters import (
    Lineage,
    current,
    history,
    list_adapters,
    load_adapter_path,
    promote,
    read_lineage,
    remove_adapter,
    rollback,
    save_adapter,
)
from policies.paths import data_root

pytestmark = pytest.mark.usefixtures("home", "no_proxies")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A folder as PEFT writes it, as far as the store looks."""
    folder = tmp_path / "trained"
    folder.mkdir()
    (folder / adapters.CONFIG).write_text('{"peft_type": "LORA"}')
    (folder / adapters.WEIGHTS).write_bytes(b"weights")
    (folder / "value_head.safetensors").write_bytes(b"head")
    (folder / "README.md").write_text("a card")
    (folder / "optimizer.pt").write_bytes(b"pickle")
    return folder


def lineage(**changes: object) -> Lineage:
    values = {"name": "tiny", "base_sha256": "b" * 64, "method": "sft", "code_version": "1"}
    return Lineage.model_validate(values | changes)


def test_an_adapter_is_kept_with_its_lineage(trained):
    given = lineage(data_sha256="d" * 64, config={"rank": 16}, metrics={"loss": 0.5})
    assert save_adapter(trained, given) == "tiny@v1"
    assert save_adapter(trained, lineage(parent="v1")) == "tiny@v2"
    assert save_adapter(trained, lineage(), version="mine") == "tiny@mine"
    path = load_adapter_path("tiny@v1", "b" * 64)
    names = {adapters.CONFIG, adapters.WEIGHTS, "value_head.safetensors"}
    assert {file.name for file in path.iterdir()} == names | {adapters.LINEAGE}
    kept = read_lineage(path)
    assert (kept.reference, kept.config, kept.metrics) == ("tiny@v1", {"rank": 16}, {"loss": 0.5})
    assert set(kept.files) == names
    assert [entry.version for entry in list_adapters("tiny")] == ["mine", "v1", "v2"]
    with pytest.raises(PolicyError, match="exists already"):
        save_adapter(trained, lineage(), version="mine")


@pytest.mark.parametrize(
    ("name", "version"), [("../x", None), ("tiny", "base"), ("tiny", "a/b"), ("tiny", ".hidden")]
)
def test_names_that_would_lead_elsewhere_are_refused(trained, home, name, version):
    with pytest.raises(PolicyError, match="cannot name an adapter"):
        save_adapter(trained, lineage(name=name), version=version)
    assert not home.exists()


def test_what_is_no_adapter_leaves_nothing(trained):
    (trained / adapters.WEIGHTS).unlink()
    for source in (trained, trained / "none"):
        with pytest.raises(PolicyError, match="no adapter in PEFT's format"):
            save_adapter(source, lineage())
    assert list_adapters() == []
    assert [p.name for p in (adapters.adapters_root() / "tiny").iterdir()] == [".lock"]


def test_a_save_that_is_killed_leaves_nothing_half(trained, home):
    code = """
import os, shutil, signal, sys
from pathlib import Path
from policies.hub.adapters import Lineage, save_adapter
class Dying:
    def save_pretrained(self, folder, **options):
        shutil.copytree(sys.argv[1], folder, dirs_exist_ok=True)
        os.kill(os.getpid(), signal.SIGKILL)
save_adapter(Dying(), Lineage(name="tiny", base_sha256="b" * 64))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code, str(trained)], env=environment)
    assert done.returncode == -signal.SIGKILL
    folder = adapters.adapters_root() / "tiny"
    assert len(list(folder.glob(".saving-*"))) == 1
    assert list_adapters() == []
    with pytest.raises(PolicyError, match="there is no adapter tiny@v1"):
        load_adapter_path("tiny@v1")
    assert save_adapter(trained, lineage()) == "tiny@v1"
    assert list(folder.glob(".saving-*")) == []


@pytest.mark.parametrize("file", [adapters.WEIGHTS, adapters.CONFIG, "value_head.safetensors"])
@pytest.mark.parametrize("damage", ["altered", "truncated", "missing"])
def test_damage_is_found_and_named(trained, file, damage):
    save_adapter(trained, lineage())
    path = load_adapter_path("tiny@v1") / file
    if damage == "missing":
        path.unlink()
    else:
        data = path.read_bytes()
        path.write_bytes(data[:-1] if damage == "truncated" else data[:-1] + b"?")
    with pytest.raises(PolicyError, match=rf"tiny@v1 is damaged: .*{file}.*agent models remove"):
        load_adapter_path("tiny@v1")
    with pytest.raises(PolicyError, match="damaged"):
        promote("tiny@v1")
    assert remove_adapter("tiny@v1").name == "v1"


@pytest.mark.parametrize("text", ["", "{}", '{"format": 2}', "no json"])
def test_a_damaged_lineage(trained, text):
    save_adapter(trained, lineage())
    (load_adapter_path("tiny@v1") / adapters.LINEAGE).write_text(text)
    with pytest.raises(PolicyError, match="missing or damaged"):
        load_adapter_path("tiny@v1")
    assert list_adapters() == []


def test_a_folder_under_another_name_is_refused(trained):
    save_adapter(trained, lineage())
    load_adapter_path("tiny@v1").rename(adapters.adapters_root() / "tiny" / "v7")
    with pytest.raises(PolicyError, match="it is the one of tiny@v1"):
        load_adapter_path("tiny@v7")


def test_other_base_weights(trained):
    save_adapter(trained, lineage())
    with pytest.raises(PolicyError, match=r"other base weights: .*bbbb.*cccc"):
        load_adapter_path("tiny@v1", "c" * 64)


def test_promotions_and_rollbacks(trained):
    for _ in range(3):
        save_adapter(trained, lineage())
    assert current("tiny") == "base"
    with pytest.raises(PolicyError, match="there is no promotion to undo"):
        rollback("tiny")
    for name in ("nobody", "..", "tiny@v1"):
        with pytest.raises(PolicyError, match="nothing was promoted"):
            rollback(name)
    promote("tiny@v1")
    promote("tiny@v3")
    promote("tiny@v3")
    assert current("tiny") == "v3"
    with pytest.raises(PolicyError, match="is promoted"):
        remove_adapter("tiny@v1")
    assert rollback("tiny") == "v1"
    promote("tiny@v2")
    assert rollback("tiny") == "v1"
    assert rollback("tiny") == "base"
    assert current("tiny") == "base"
    actions = [(change.action, change.version) for change in history("tiny")]
    assert actions[:3] == [("promote", "v1"), ("promote", "v3"), ("rollback", "v1")]
    promote("tiny@v2")
    promote("tiny@base")
    assert current("tiny") == "base"
    assert rollback("tiny") == "v2"


def test_the_base_of_no_model_is_not_promoted(trained):
    with pytest.raises(PolicyError, match=r"Did you mean qwen2\.5-coder-1\.5b"):
        promote("qwen2.5-coder-1.5@base")
    assert not (data_root() / "adapters" / "qwen2.5-coder-1.5").exists()


def test_a_version_is_not_given_out_twice(trained):
    save_adapter(trained, lineage())
    promote("tiny@v1")
    rollback("tiny")
    remove_adapter("tiny@v1")
    assert save_adapter(trained, lineage()) == "tiny@v2"


@pytest.mark.parametrize("reference", ["tiny", "tiny@v9", "nobody@v1", "tiny@", "@v1", "../x@v1"])
def test_what_names_no_adapter(trained, reference):
    save_adapter(trained, lineage())
    for ask in (load_adapter_path, promote, remove_adapter):
        with pytest.raises(PolicyError, match="no adapter"):
            ask(reference)


def test_a_model_with_a_version(trained, tiny):
    with pytest.raises(PolicyError, match=r"no adapter tiny@v1; versions of tiny: none"):
        open_policy("tiny@v1")
    with pytest.raises(PolicyError, match="unknown model 'nobody'"):
        open_policy("nobody@v1")


def test_an_adapter_of_other_weights_is_refused_before_anything_is_loaded(
    trained, hub, tiny, weights
):
    hub.files["/owner/tiny/resolve/main/tiny.gguf"] = weights
    save_adapter(trained, lineage())
    for model in ("tiny@v1", "torch:tiny@v1"):
        with pytest.raises(PolicyError, match="made for other base weights"):
            open_policy(model)
    promote("tiny@v1")
    with pytest.raises(PolicyError, match="made for other base weights"):
        open_policy("tiny")
    with pytest.raises(PolicyError, match="could not load"):
        open_policy("tiny@base")


def test_the_command_line(trained, hub, tiny, weights, monkeypatch):
    hub.files["/owner/tiny/resolve/main/tiny.gguf"] = weights

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["models", *arguments])
        assert done.exit_code == 0, done.output
        return done.output

    assert "tiny@v1 is added" in run("add-adapter", str(trained), "--base", "tiny")
    run("add-adapter", str(trained), "--base", "tiny", "--version", "mine")
    assert "tiny now means tiny@mine" in run("promote", "tiny@mine")
    listed = {line["name"]: line for line in json.loads(run("list", "--json"))["models"]}
    assert listed["tiny@mine"]["promoted"]
    assert not listed["tiny@v1"]["promoted"]
    assert listed["tiny@v1"]["kind"] == "adapter"
    assert "promoted" in run("list")
    assert "tiny now means tiny@base" in run("rollback", "tiny")
    run("remove", "tiny@mine")
    assert [entry.version for entry in list_adapters()] == ["v1"]
    failed = CliRunner().invoke(app, ["models", "promote", "tiny@v9"])
    assert failed.exit_code == 3
    assert "versions of tiny: v1" in failed.output
    failed = CliRunner().invoke(app, ["models", "add-adapter", str(trained), "--base", "nobody"])
    assert failed.exit_code == 3
    assert store.is_known("tiny")
    assert "tiny" in catalogue.CATALOGUE
