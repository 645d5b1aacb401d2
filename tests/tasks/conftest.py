"""Environments are made once for all tests of this folder."""

import pytest

from policies.paths import data_root
from tests.tasks.package_index import serving


@pytest.fixture(scope="session")
def environments(tmp_path_factory):
    return tmp_path_factory.mktemp("environments")


@pytest.fixture(autouse=True)
def shared_environments(private_home, environments):
    """Let each test's private home lead to the environments of the session."""
    (data_root() / "environments").symlink_to(environments)


@pytest.fixture
def index(monkeypatch):
    """A package index that this process and its children use."""
    with serving() as served:
        monkeypatch.setenv("PIP_INDEX_URL", served.url)
        yield served
