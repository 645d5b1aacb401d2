"""Bases in torch: dequantised once, kept whole, named by their digests."""

from __future__ import annotations

import os

import pytest

from policies.base import PolicyError
from policies.choose import fetch, open_policy
from policies.hub import store
from policies.hub.adapters import Lineage, promote, save_adapter
from policies.paths import models_root
from policies.torch.load import load_base
from policies.torch.policy import TorchPolicy
from tests.policies.torch.samples import random_adapter
from tests.policies.torch.tiny import write_model

pytestmark = pytest.mark.usefixtures("home", "no_proxies")


def test_a_base_is_frozen_and_dequantised_once(tiny_file):
    import torch

    base = load_base(tiny_file, dtype="float32", device="cpu")
    assert not any(weight.requires_grad for weight in base.model.parameters())
    assert not base.model.training
    assert base.model.dtype == torch.float32
    assert base.identity.version == f"tiny@sha256:{tiny_file.sha256[:12]}"
    kept = list((models_root() / "dequantised").glob("[!.]*"))
    assert [path.name for path in kept] == [f"{tiny_file.sha256[:16]}-float32"]
    weights = kept[0] / "model.safetensors"
    written = weights.stat().st_mtime_ns
    again = load_base(tiny_file, device="cpu")
    assert again.model.dtype == torch.bfloat16
    assert weights.stat().st_mtime_ns == written
    for name, weight in again.model.named_parameters():
        assert torch.equal(weight, base.model.get_parameter(name).bfloat16())
    assert len(list((models_root() / "dequantised").glob("[!.]*"))) == 1


def test_what_a_killed_process_left_is_cleared(tiny_file):
    root = models_root() / "dequantised"
    left = root / f".{tiny_file.sha256[:16]}-float32.abcd1234.tmp"
    left.mkdir(parents=True)
    (left / "model.safetensors").write_bytes(b"half")
    load_base(tiny_file, dtype="float32", device="cpu")
    assert not left.exists()


def test_a_damaged_copy_is_named(tiny_file):
    load_base(tiny_file, dtype="float32", device="cpu")
    weights = next((models_root() / "dequantised").glob("[!.]*")) / "model.safetensors"
    os.truncate(weights, weights.stat().st_size // 2)
    with pytest.raises(PolicyError, match=r"could not load .*Delete .*made anew"):
        load_base(tiny_file, dtype="float32", device="cpu")


def test_a_folder_of_the_hub(tiny_base, tmp_path):
    import torch

    folder = tmp_path / "mine"
    tiny_base.model.save_pretrained(folder)
    tiny_base.tokenizer.save_pretrained(folder)
    base = load_base(folder, dtype="float32", device="cpu")
    assert base.identity.name == "mine"
    for name, weight in base.model.named_parameters():
        assert torch.equal(weight, tiny_base.model.get_parameter(name))
    assert base.identity == load_base(str(folder), device="cpu").identity
    with open_policy(f"torch:{folder}", context_tokens=128) as policy:
        assert policy.version == base.identity.version
    (folder / "config.json").write_text((folder / "config.json").read_text() + "\n")
    assert load_base(folder, device="cpu").identity != base.identity
    (folder / "model.safetensors").unlink()
    with pytest.raises(PolicyError, match="is no model"):
        load_base(folder)


def test_what_cannot_be_loaded(tmp_path, tiny_file):
    with pytest.raises(PolicyError, match="no precision"):
        load_base(tiny_file, dtype="int8")
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + b"\0" * 100)
    with pytest.raises(PolicyError, match="could not be dequantised"):
        load_base(broken)
    assert list((models_root() / "dequantised").glob("*tmp")) == []
    with pytest.raises(PolicyError, match="unknown model"):
        load_base("nobody")
    import torch

    if not torch.cuda.is_available():
        with pytest.raises(PolicyError, match="no CUDA device"):
            load_base(tiny_file, device="cuda")


def test_names_and_versions_open_in_both_engines(tiny_base, tiny_file, tmp_path):
    store.add(str(tiny_file.path), "small")
    lineage = Lineage(name="small", base_sha256=tiny_file.sha256)
    save_adapter(random_adapter(tiny_base, tmp_path / "a"), lineage)
    versions = {}
    for model in ("small", "small@v1", "torch:small", "torch:small@v1", "torch:small@base"):
        with open_policy(model, context_tokens=128, threads=1) as policy:
            assert isinstance(policy, TorchPolicy) == model.startswith("torch:")
            versions[model] = policy.version
    assert versions["small"] == versions["torch:small"] == versions["torch:small@base"]
    assert versions["small@v1"] == versions["torch:small@v1"] != versions["small"]
    promote("small@v1")
    for model in ("small", "torch:small"):
        with open_policy(model, context_tokens=128, threads=1) as policy:
            assert policy.version == versions["small@v1"]
    fetch("torch:small@v1")


def test_an_adapter_that_does_not_fit(tiny_base, tiny_file, tmp_path):
    store.add(str(tiny_file.path), "small")
    other = load_base(write_model(tmp_path / "wide.gguf", hidden=128), dtype="float32")
    wrong = random_adapter(other, tmp_path / "w")
    save_adapter(wrong, Lineage(name="small", base_sha256=tiny_file.sha256))
    with pytest.raises(PolicyError, match=r"made for another model: its lora_.*128"):
        open_policy("small@v1", context_tokens=128, threads=1)
    with pytest.raises(PolicyError, match="does not fit the model"):
        open_policy("torch:small@v1", context_tokens=128)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"alpha_pattern": {"q_proj": 3}}, "alpha_pattern"),
    ],
)
def test_what_llamacpp_does_not_know(tiny_base, tiny_file, tmp_path, options, reason):
    store.add(str(tiny_file.path), "small")
    folder = random_adapter(tiny_base, tmp_path / "a", **options)
    save_adapter(folder, Lineage(name="small", base_sha256=tiny_file.sha256))
    with pytest.raises(PolicyError, match=f"{reason}.*torch:small@v1"):
        open_policy("small@v1", context_tokens=128, threads=1)
    with open_policy("torch:small@v1", context_tokens=128) as policy:
        assert "+adapter:" in policy.version


def test_a_conversion_is_kept_and_mended(tiny_base, tiny_file, tmp_path):
    from policies.hub.adapters import load_adapter_path, read_lineage
    from policies.hub.lora import gguf_adapter

    lineage = Lineage(name="small", base_sha256=tiny_file.sha256)
    trained = random_adapter(tiny_base, tmp_path / "a", use_rslora=True)
    folder = load_adapter_path(save_adapter(trained, lineage))
    made = gguf_adapter(folder, read_lineage(folder), tiny_file)
    whole, written = made.read_bytes(), made.stat().st_mtime_ns
    assert gguf_adapter(folder, read_lineage(folder), tiny_file).stat().st_mtime_ns == written
    made.write_bytes(whole[:-10])
    assert gguf_adapter(folder, read_lineage(folder), tiny_file).read_bytes() == whole
    load_adapter_path("small@v1")
    copied = load_adapter_path(save_adapter(folder, lineage))
    assert gguf_adapter(copied, read_lineage(copied), tiny_file).read_bytes() == whole
    assert load_adapter_path("small@v2") == copied


def test_an_adapter_that_was_truncated_before_it_was_added(tiny_base, tiny_file, tmp_path):
    store.add(str(tiny_file.path), "small")
    trained = random_adapter(tiny_base, tmp_path / "a")
    weights = trained / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    save_adapter(trained, Lineage(name="small", base_sha256=tiny_file.sha256))
    with pytest.raises(PolicyError, match=r"cannot be read .*agent models remove small@v1"):
        open_policy("small@v1", context_tokens=128, threads=1)
    with pytest.raises(PolicyError, match="damaged or was made for another model"):
        open_policy("torch:small@v1", context_tokens=128)
