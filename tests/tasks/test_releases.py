"""Releases of a package as fixes: which, by which change log, and from which base."""

import hashlib

import pytest

from agent.status import EnvironmentFailure
from agent.tasks.changelog import section, told_by
from agent.tasks.history import Candidate
from agent.tasks.index import releases
from agent.tasks.problems import Problem
from agent.tasks.releases import release_candidates
from agent.tasks.sources import fetch
from agent.tasks.tree import patched
from tests.tasks.package_index import sdist
from tools.sandbox.base import File

LOG = b"""\
# Changes

## 1.1.0 (2024-05-01)

### Fixed

- `total` forgot the discount.

## 0.9

Fixed nothing.
"""


def publish(index, version, source, *, tests=b"", log=b"", folder="shop"):
    members = {"PKG-INFO": b"Name: shop\n", "shop.py": source, "test_shop.py": tests}
    members |= {"CHANGELOG.md": log} if log else {}
    data = sdist({f"{folder}-{version}/{path}": each for path, each in members.items()})
    index.archives[f"{folder}-{version}.tar.gz"] = data
    return "sha256:" + hashlib.sha256(data).hexdigest()


def test_releases_come_in_the_order_of_versions_without_early_and_withdrawn_ones(index):
    for version in ("1.10", "1.9", "1.9rc1", "1.11", "08.1"):
        publish(index, version, b"")
    index.yanked.add("shop-1.11.tar.gz")
    index.archives["shop-1.12-py3-none-any.whl"] = b""
    index.archives["shop-extra-2.0.tar.gz"] = b""
    index.archives["shop-2.0.zip"] = b""
    index.archives["shop-nonsense.tar.gz"] = b""
    assert [release.version for release in releases("shop")] == ["1.9", "1.10", "08.1"]
    with pytest.raises(EnvironmentFailure, match="other cannot be fetched"):
        releases("other")


def test_a_release_that_mends_something_is_a_fix_of_the_one_before(index):
    old = publish(index, "1.0", b"x = 1\n")
    publish(index, "1.1.0", b"x = 2\n", tests=b"def test(): pass\n", log=LOG)
    publish(index, "1.2", b"x = 2\n", tests=b"", log=LOG)
    (found,) = release_candidates("shop", 10)
    assert isinstance(found, Candidate)
    assert (found.repo, found.parent, found.commit) == ("pypi:shop==1.0", old, "1.1.0")
    assert "-x = 1\n+x = 2\n" in found.patch
    assert "test_shop.py" in found.test_patch
    assert "CHANGELOG" not in found.patch
    assert found.message == "- `total` forgot the discount."


def test_what_does_not_speak_of_a_fix_may_be_asked_for(index):
    publish(index, "1.0", b"x = 1\n")
    publish(index, "1.1", b"x = 2\n", tests=b"def test(): pass\n")
    publish(index, "1.2", b"x = 3\n", tests=b"def test_it(): pass\n")
    assert list(release_candidates("shop", 10)) == []
    found = list(release_candidates("shop", 1, any_release=True))
    assert [each.commit for each in found] == ["1.2"]


def test_an_archive_that_cannot_be_read_is_told_and_the_others_go_on(index):
    publish(index, "1.0", b"x = 1\n")
    publish(index, "1.1.0", b"x = 2\n", tests=b"def test(): pass\n", log=LOG)
    index.archives["shop-1.2.tar.gz"] = b"no archive"
    told, found = release_candidates("shop", 10)
    assert isinstance(told, Problem)
    assert told.where == "pypi:shop==1.2"
    assert "cannot be read" in told.problem
    assert found.commit == "1.1.0"


def test_a_new_number_of_the_version_is_no_part_of_the_fix(index):
    old = b'__version__ = "1.0"\nx = 1\nmost = "1.0"\n'
    new = b'__version__ = "1.1.0"\nx = 2\nmost = "1.0"\n'
    publish(index, "1.0", old)
    publish(index, "1.1.0", new, tests=b"def test(): pass\n", log=LOG)
    (found,) = release_candidates("shop", 10)
    assert "version" in found.setup_patch
    assert "x = 2" not in found.setup_patch
    assert [line for line in found.patch.splitlines() if line[:1] in "+-"][2:] == [
        "-x = 1",
        "+x = 2",
    ]
    base = fetch(found.repo, found.parent).files
    fixed = patched(patched(patched(base, found.setup_patch), found.test_patch), found.patch)
    assert {file.path: file.data for file in fixed}["shop.py"] == new


def test_names_are_kept_and_odd_ones_end_nothing(index):
    publish(index, "1.0", b"x = 1\n")
    publish(index, "1.1.0", b"x = 2\n", tests=b"def test(): pass\n", log=LOG)
    members = {"x/é.py": b"x = 1\n", "x/.git": b"gitdir: /\n", "x/test_shop.py": b"x = 2\n"}
    index.archives["shop-1.2.tar.gz"] = sdist(members)
    members |= {"x/é.py": b"x = 2\n", "x/a:b/\udcff.py": b"", "x/test_shop.py": b"x = 3\n"}
    index.archives["shop-1.3.tar.gz"] = sdist(members)
    found = list(release_candidates("shop", 10, any_release=True))
    assert [getattr(each, "commit", "told") for each in found] == ["told", "1.2", "1.1.0"]
    assert "+++ b/é.py" in found[1].patch
    assert ".git" not in found[1].patch.replace("--git", "")


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("CHANGES", "1.1.0\n=====\n\n* Mended.\n\n1.0\n===\n* Made.\n", "* Mended."),
        ("HISTORY.rst", "v1.1.0, 2020-01-01\n------------------\nFixes\n~~~~~\na\n", "a"),
        ("docs/changelog.md", "## [1.1.0]\n* for 3.8 too\n## [1.0]\n* b\n", "* for 3.8 too"),
        ("NEWS", "Version 1.1.1\na\nVersion 1.0\nb\n", ""),
        ("NEWS", "1.1.1\na\n1.1.0\nb\n1.0.5\nc\n1.0\nd\n", "b\nc"),
        ("CHANGES", "1.1.0\n\n  * Python 3.12 support\n\nPython 3.11 is gone.\n", "all"),
        ("C.md", "# 1.1\na\n", ""),
        ("CHANGES.md", "## 1.1\n### 2023-05-01\n### 3 bugs\na\n### #12 b\nc\n## 2\nd\n", "a\nc"),
        ("CHANGES", "1.1.0 (January 5, 2020)\na\n1.0.0 - 05/01/2020\nb\n", "a"),
        ("CHANGES", "V1.1.0 (5 Jan 2020)\na\n\n1.0 2019-11-30\nb\n", "a"),
        ("CHANGES.md", "# [1.1.0](https://x.org/c/v1.0...v1.1.0) (2024-05-01)\na\n", "a"),
        ("CHANGES.md", "What's new in shop 1.1\n======\na\n", "a"),
        ("tests/changes.txt", "1.1.0\na\n", ""),
        ("shop/changes.py", "1.1.0\na\n", ""),
    ],
)
def test_what_a_change_log_says_of_a_version(path, text, said):
    readme = File("README.md", b"# shop 1.1.0\n")
    found = told_by(section([readme, File(path, text.encode())], "shop", "1.0", "1.1.0"))
    assert found == (text.partition("\n")[2].strip() if said == "all" else said)


def test_a_readme_is_read_when_there_is_no_change_log():
    readme = File("README.md", b"## 1.1.0\nFix a.\n")
    assert section([readme], "shop", "1.0", "1.1.0") == ["Fix a."]
