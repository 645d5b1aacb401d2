"""Settings: precedence, and what a repository may not choose."""

import pytest

from agent.config import load_settings
from agent.status import UsageError


@pytest.fixture
def user_config(tmp_path, monkeypatch):
    path = tmp_path / "config.toml"
    monkeypatch.setenv("APPRENTICE_CONFIG", str(path))
    return path


def test_precedence_from_defaults_to_the_command_line(tmp_path, user_config, monkeypatch):
    repo = tmp_path / "repo"
    repo.mkdir()
    assert load_settings(repo, {}).samples == 16
    user_config.write_text("samples = 2\nrounds = 2\n")
    assert load_settings(repo, {}).samples == 2
    (repo / "pyproject.toml").write_text("[tool.apprentice]\nsamples = 3\n")
    assert load_settings(repo, {}).samples == 3
    (repo / "apprentice.toml").write_text("samples = 4\n")
    assert load_settings(repo, {}).samples == 4
    monkeypatch.setenv("APPRENTICE_SAMPLES", "5")
    assert load_settings(repo, {}).samples == 5
    settings = load_settings(repo, {"samples": 6, "seed": None})
    assert (settings.samples, settings.rounds, settings.seed) == (6, 2, 0)


def test_an_unknown_key_names_the_nearest_known_one(tmp_path, user_config):
    user_config.write_text("sampels = 2\n")
    with pytest.raises(UsageError) as caught:
        load_settings(tmp_path, {})
    assert "unknown key 'sampels'" in str(caught.value)
    assert "'samples'" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('sandbox = "none"', "switch the sandbox off"),
        ('model = "openai/gpt-x"', "catalogue model"),
        ('model = "/tmp/x.gguf"', "catalogue model"),
        ('environment = "/"', "may not set 'environment'"),
        ('resident = "always"', "may not set 'resident'"),
        ("resident_seconds = 1e9", "may not set 'resident_seconds'"),
        ("samples = 0", "samples"),
        ("samples = [", "cannot be read as TOML"),
    ],
)
def test_a_repository_may_not_choose_everything(tmp_path, user_config, text, word):
    (tmp_path / "apprentice.toml").write_text(text)
    with pytest.raises(UsageError, match=word):
        load_settings(tmp_path, {})


def test_a_repository_may_choose_a_catalogue_model(tmp_path, user_config):
    (tmp_path / "apprentice.toml").write_text('model = "qwen2.5-coder-0.5b"')
    assert load_settings(tmp_path, {}).model == "qwen2.5-coder-0.5b"
