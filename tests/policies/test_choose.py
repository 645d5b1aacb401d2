"""One string names a policy."""

from __future__ import annotations

import json

import pytest

from policies.base import PolicyError
from policies.choose import open_policy
from policies.hub import store
from policies.scripted import ScriptedPolicy

pytestmark = [
    pytest.mark.usefixtures("no_proxies", "home"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def test_scripted(tmp_path):
    path = tmp_path / "s.json"
    path.write_text(json.dumps(["x"]))
    assert isinstance(open_policy(f"scripted:{path}"), ScriptedPolicy)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("", "no model was named"),
        ("qwen2.5-coder-1.5", r"Did you mean qwen2\.5-coder-1\.5b.*agent models list"),
        ("zzz", r"unknown model 'zzz'\. `agent models list`"),
        ("qwen2.5-coder-0.5b@v3", "there is no adapter .*versions of .*: none"),
        ("qwen2.5-coder-9b@v3", "unknown model"),
        ("hf:owner/x.gguf", "hf:OWNER/REPO/FILE.gguf"),
        ("./none.gguf", "no model file"),
        ("torch:zzz", r"unknown model 'zzz'"),
        ("torch:./none.gguf", "no model file"),
        ("nobody/model", "no provider that litellm knows"),
        ("http://example.org/m.gguf", "use https"),
    ],
)
def test_what_means_nothing(model, reason):
    with pytest.raises(PolicyError, match=reason):
        open_policy(model)


def test_a_file_that_is_no_model_is_refused(tmp_path):
    path = tmp_path / "fake.gguf"
    path.write_bytes(b"GGUF" + b"\0" * 100)
    with pytest.raises(PolicyError, match="could not load"):
        open_policy(str(path))


def test_missing_weights_are_pulled_and_told(hub, tiny, weights):
    hub.files["/owner/tiny/resolve/main/tiny.gguf"] = weights
    told = []
    with pytest.raises(PolicyError, match="could not load"):
        open_policy("tiny", on_download=lambda *step: told.append(step))
    assert told[0] == (0, tiny.bytes, "hub")
    assert store.locate("tiny").sha256 == tiny.sha256


def test_a_hub_reference_is_added_and_pulled(hub, weights):
    hub.files["/me/repo/resolve/main/m.gguf"] = weights
    with pytest.raises(PolicyError, match="could not load"):
        open_policy("hf:me/repo/m.gguf")
    assert store.registered("m").sha256 is not None
