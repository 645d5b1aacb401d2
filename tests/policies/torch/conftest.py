"""The tiny model, loaded once into both engines; all of it skipped where torch is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from policies.hub import store

pytest.importorskip("torch")
pytest.importorskip("gguf")


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture(scope="session")
def tiny_file(tiny_folder: Path) -> store.ModelFile:
    from policies.hub.files import digest
    from tests.policies.torch.tiny import write_model

    path = write_model(tiny_folder / "tiny.gguf")
    return store.ModelFile(path, digest(path), "tiny")


@pytest.fixture(scope="session")
def tiny_base(tiny_file: store.ModelFile, tiny_folder: Path):
    """The tiny model in float32, dequantised into a folder of the session's."""
    from policies.torch.load import load_base

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("APPRENTICE_MODELS", str(tiny_folder / "models"))
        return load_base(tiny_file, dtype="float32", device="cpu")
