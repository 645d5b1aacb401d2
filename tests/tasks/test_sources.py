"""Repositories from paths, URLs and source archives, served by a real web server."""

import hashlib
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from agent.status import EnvironmentFailure, UsageError
from agent.tasks.sources import fetch
from tests.tasks.package_index import sdist
from tools.sandbox.base import File

METADATA = b"Name: shop\nClassifier: License :: OSI Approved :: MIT License\n\nLicense: no\n"


def test_an_archive_is_read_without_metadata_links_or_paths_that_lead_out(index):
    index.archives["Shop-1.0.tar.gz"] = sdist(
        {
            "shop-1.0/PKG-INFO": METADATA,
            "shop-1.0/shop.egg-info/SOURCES.txt": b"",
            "shop-1.0/shop.py": b"x = 1\n",
            "shop-1.0/passwd": None,
            "shop-1.0/../../evil.py": b"",
            "/abs/evil.py": b"",
        }
    )
    source = fetch("pypi:shop==1.0")
    assert source.files == (File("shop.py", b"x = 1\n"),)
    assert source.licence == "MIT License"
    assert (
        source.commit == "sha256:" + hashlib.sha256(index.archives["Shop-1.0.tar.gz"]).hexdigest()
    )


def test_a_kept_archive_is_not_fetched_again(index):
    index.archives["Shop-1.0.tar.gz"] = sdist({"shop-1.0/shop.py": b"x = 1\n"})
    first = fetch("pypi:shop==1.0")
    index.asked.clear()
    assert fetch("pypi:shop==1.0", first.commit) == first
    assert index.asked == []


def test_another_archive_than_the_pinned_one_is_refused(index):
    index.archives["Shop-1.0.tar.gz"] = sdist({"shop-1.0/shop.py": b"x = 1\n"})
    with pytest.raises(EnvironmentFailure, match="not the expected one"):
        fetch("pypi:shop==1.0", "sha256:" + "0" * 64)
    index.promised = "1" * 64
    with pytest.raises(EnvironmentFailure, match="not the expected one"):
        fetch("pypi:shop==1.0")


def test_a_damaged_archive_is_an_error(index):
    index.archives["Shop-1.0.tar.gz"] = sdist({"shop-1.0/shop.py": b"x = 1\n"})[:40]
    with pytest.raises(EnvironmentFailure, match="source archive cannot be read"):
        fetch("pypi:shop==1.0")


@pytest.mark.parametrize(
    ("repo", "kind", "message"),
    [
        ("pypi:shop", UsageError, "the version is missing"),
        ("pypi:shop==2.0", EnvironmentFailure, "no source archive"),
        ("pypi:other==1.0", EnvironmentFailure, "cannot be fetched"),
        ("nowhere", UsageError, "no such folder, and it is no git URL"),
        ("file:///nonexistent/x.git", EnvironmentFailure, "does not appear to be a git"),
    ],
)
def test_what_cannot_be_had_is_told(index, repo, kind, message):
    with pytest.raises(kind, match=message):
        fetch(repo)


def test_a_path_gives_the_commit_and_not_the_working_tree(git_repo):
    root = git_repo({"a.py": "a = 1\n", "run.sh": "#!/bin/sh\n"})
    (root / "link").symlink_to("a.py")
    (root / "run.sh").chmod(0o755)
    subprocess.run(["git", "-C", root, "add", "-A"], check=True)
    subprocess.run(["git", "-C", root, "commit", "-qm", "more"], check=True)
    (root / "a.py").write_text("a = 2\n")
    source = fetch(str(root))
    assert source.files == (
        File("a.py", b"a = 1\n"),
        File("link", b"a.py", "120000"),
        File("run.sh", b"#!/bin/sh\n", "100755"),
    )
    older = fetch(str(root), "HEAD~1")
    assert [file.path for file in older.files] == ["a.py", "run.sh"]
    with pytest.raises(EnvironmentFailure, match="git:"):
        fetch(str(root), "0" * 40)


def test_a_url_is_cloned_once(git_repo, tmp_path):
    root = git_repo({"a.py": "a = 1\n"})
    source = fetch(f"file://{root}")
    root.rename(tmp_path / "moved")
    assert fetch(f"file://{root}", source.commit) == source


def test_a_clone_is_brought_up_to_date(git_repo):
    root = git_repo({"a.py": "a = 1\n"})
    old = fetch(f"file://{root}")
    (root / "a.py").write_text("a = 2\n")
    subprocess.run(["git", "-C", root, "commit", "-qam", "more"], check=True)
    assert fetch(f"file://{root}").files[0].data == b"a = 2\n"
    assert fetch(f"file://{root}", old.commit) == old


def test_several_threads_clone_once(git_repo):
    url = f"file://{git_repo({'a.py': 'a = 1'})}"
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(fetch, [url] * 4))
    assert found == found[:1] * 4


def test_a_clone_without_all_contents_is_told(git_repo, tmp_path):
    root = git_repo({"a.py": "a = 1\n"})
    subprocess.run(["git", "-C", root, "config", "uploadpack.allowFilter", "true"], check=True)
    partial = tmp_path / "partial"
    clone = ["git", "clone", "-q", "--no-checkout", "--filter=blob:none", f"file://{root}", partial]
    subprocess.run(clone, check=True)
    with pytest.raises(EnvironmentFailure, match=r"lacks the contents of a\.py"):
        fetch(str(partial))
