"""What the next run makes of a delivery that died, and of notes that do not fit any more."""

import json
import os
import shutil
import signal
import stat
import subprocess

import pytest

from agent import apply as module
from agent import undo
from agent.apply import Conflict, Delivery, deliver
from agent.repository import capture, only_run, open_repository
from agent.status import EnvironmentFailure, Status
from agent.verify.verifier import Verdict

START = {"a.py": "a = 1\n", "gone.py": "gone = 1\n", "sub/b.py": "b = 1\n"}
PATCH = {"a.py": b"a = 2\n", "gone.py": None, "sub/b.py": b"b = 2\n", "new/c.py": b"\xff = 1\n"}
DIFF = "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-a = 1\n+a = 2\n"


def git(repo, *words):
    done = subprocess.run(["git", "-C", repo, *words], check=True, capture_output=True, text=True)
    return done.stdout


def apply(root, files=PATCH, **where):
    """Deliver a verified patch."""
    with open_repository(root) as repo:
        verdict = Verdict(True, DIFF, files=dict(files))
        return deliver(repo, capture(repo), Delivery(**where), Status.VERIFIED, verdict)


def die(root, moment, files=PATCH, **where):
    """Deliver in a child that is killed at a moment: a path, after it is placed, or a function."""
    child = os.fork()
    if not child:
        real = getattr(module, "_place" if "." in moment else moment)

        def last(*arguments, **named):
            if "." in moment:
                real(*arguments, **named)
                if arguments[1] != root / moment:
                    return
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(module, real.__name__, last)
        apply(root, files, **where)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    assert undo.pending(root)


def next_run(root):
    with only_run(root):
        pass
    assert not undo.pending(root)
    assert not [path for path in root.rglob(".apprentice-*") if ".git" not in path.parts]


def contents(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(root).parts
    }


@pytest.fixture
def root(git_repo):
    return git_repo(START)


def test_what_is_half_done_is_undone_and_said(root, capsys):
    (root / "gone.py").chmod(0o700)
    die(root, "gone.py")
    next_run(root)
    assert contents(root) == {path: text.encode() for path, text in START.items()}
    assert stat.S_IMODE((root / "gone.py").stat().st_mode) == 0o700
    assert not (root / "new").exists()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(": undone in a.py, gone.py")


def test_a_whole_patch_stays(root, capsys):
    die(root, "forget")
    whole = contents(root)
    next_run(root)
    assert contents(root) == whole
    assert whole["new/c.py"] == b"\xff = 1\n"
    assert "whole" in capsys.readouterr().err


@pytest.mark.parametrize("commit", [False, True])
@pytest.mark.parametrize("moment", ["gone.py", "forget"])
def test_what_the_user_has_committed_since_stays(root, capsys, moment, commit):
    diff = {"a.py": b"a = 2\n"} if commit else PATCH
    die(root, "a.py" if commit and moment == "gone.py" else moment, diff, commit=commit)
    (root / "gone.py").unlink(missing_ok=True)
    git(root, "add", "-A")
    git(root, "commit", "-q", "--allow-empty", "-m", "the user takes it")
    before = contents(root)
    next_run(root)
    assert {p: d for p, d in before.items() if ".apprentice-" not in p} == contents(root)
    assert "HEAD has moved since" in capsys.readouterr().err


def test_what_is_absent_on_another_branch_stays_absent(root):
    git(root, "checkout", "-q", "-b", "without")
    git(root, "rm", "-q", "gone.py")
    git(root, "commit", "-qm", "gone")
    git(root, "checkout", "-q", "-")
    die(root, "gone.py")
    git(root, "checkout", "-q", "-f", "without")
    next_run(root)
    assert not (root / "gone.py").exists()


def test_an_edit_since_stays_and_the_rest_is_undone(root, capsys):
    die(root, "gone.py")
    (root / "a.py").write_text("mine = 1\n")
    next_run(root)
    assert (root / "a.py").read_text() == "mine = 1\n"
    assert (root / "gone.py").read_text() == "gone = 1\n"
    assert capsys.readouterr().err.endswith(": undone in gone.py; left alone a.py\n")


@pytest.mark.parametrize("change", ["no parent", "a folder", "a file", "a link", "a linked folder"])
def test_a_tree_of_another_shape_blocks_nothing_and_is_left_alone(root, tmp_path, change):
    files = {"sub/b.py": None, "a.py": b"a = 2\n", "gone.py": None}
    die(root, "a.py", files)
    (tmp_path / "b.py").write_bytes(b"a = 2\n")
    sub, target = root / "sub", root / "a.py"
    if change == "a folder":
        target.unlink()
        target.mkdir()
    elif change == "a link":
        target.unlink()
        target.symlink_to(tmp_path / "b.py")
    else:
        shutil.rmtree(sub)
    if change == "a file":
        sub.write_text("mine")
    if change == "a linked folder":
        (tmp_path / "b.py").unlink()
        sub.symlink_to(tmp_path)
    next_run(root)
    assert change != "a folder" or target.is_dir()
    assert change != "a file" or sub.read_text() == "mine"
    assert change != "no parent" or not sub.exists()
    assert change != "a link" or target.is_symlink()
    assert change != "a linked folder" or not (tmp_path / "b.py").exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": [1], "commit": "", "folders": []}'])
def test_a_bad_note_is_dropped_with_a_message(root, capsys, text):
    path = undo.note_path(root)
    path.parent.mkdir()
    path.write_text(text)
    next_run(root)
    assert str(path) in capsys.readouterr().err


@pytest.mark.parametrize("scratch", ["../own", "own", "sub/../.apprentice-1", ".git/.apprentice-1"])
def test_a_note_removes_nothing_but_scratch_files(root, scratch):
    head = git(root, "rev-parse", "HEAD").strip()
    change = undo.Change(path="a.py", scratch=scratch, old=b"x", mode=0o644, new="0")
    undo.note(root, [change], [], head, "")
    own = root / scratch
    own.write_text("mine")
    with only_run(root):
        assert own.read_text() == "mine"
    assert not undo.pending(root)


@pytest.mark.parametrize("path", ["sub/b.py", "../other/b.py", ".git/b.py"])
def test_a_note_leads_to_no_file_of_others(root, path):
    head = git(root, "rev-parse", "HEAD").strip()
    other = root.parent / "other"
    other.mkdir(exist_ok=True)
    shutil.rmtree(root / "sub")
    (root / "sub").symlink_to(other)
    (root / path).write_bytes(b"x")
    added = undo.Change(
        path=path, scratch=".apprentice-1", old=None, mode=None, new=undo.digest(b"x")
    )
    (root / ".apprentice-1").touch()
    undo.note(root, [added], [], head, "")
    next_run(root)
    assert (root / path).read_bytes() == b"x"


def test_a_note_that_cannot_be_undone_is_named(root, monkeypatch):
    die(root, "gone.py")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(undo, "prepare", full)
        with pytest.raises(EnvironmentFailure, match="No space left") as caught, only_run(root):
            pass
    assert str(undo.note_path(root)) in caught.value.hint
    next_run(root)
    assert (root / "a.py").read_text() == "a = 1\n"


def test_the_note_stays_when_a_file_cannot_be_put_back(root, monkeypatch):
    real = module._place

    def full(*arguments):
        raise OSError(28, "No space left on device")

    def last(prepared, target):
        real(prepared, target)
        patch.setattr(undo, "prepare", full)
        full()

    with monkeypatch.context() as patch:
        patch.setattr(module, "_place", last)
        with pytest.raises(EnvironmentFailure, match=r"a\.py could not be put back"):
            apply(root)
    assert undo.pending(root)
    (root / "gone.py").write_text("mine = 1\n")
    next_run(root)
    assert (root / "a.py").read_text() == "a = 1\n"
    assert (root / "gone.py").read_text() == "mine = 1\n"


def test_an_edit_during_the_delivery_is_kept(root, monkeypatch):
    real = module._place

    def meanwhile(prepared, target):
        real(prepared, target)
        if target.name == "a.py":
            target.write_text("mine = 1\n")
        if target.name == "gone.py":
            (root / "sub/b.py").write_text("mine = 2\n")

    monkeypatch.setattr(module, "_place", meanwhile)
    with pytest.raises(Conflict, match="has changed"):
        apply(root)
    found = contents(root)
    assert found == {"a.py": b"mine = 1\n", "gone.py": b"gone = 1\n", "sub/b.py": b"mine = 2\n"}
    assert not undo.pending(root)


def test_a_file_that_becomes_a_folder_is_a_conflict(root):
    before = contents(root)
    with pytest.raises(Conflict, match=r"folder of the file 'a\.py'"):
        apply(root, {"a.py": None, "a.py/x.py": b"x = 1\n"})
    with pytest.raises(EnvironmentFailure, match="cannot be written"):
        apply(root, {"a.py/x.py": b"x = 1\n"})
    assert contents(root) == before


def test_lock_and_note_are_the_same_through_a_link(root, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(root)
    die(root, "gone.py")
    with only_run(link):
        assert (root / "a.py").read_text() == "a = 1\n"
        with pytest.raises(EnvironmentFailure, match="another run"), only_run(root):
            pass


def test_a_commit_whose_index_is_old_gets_it_refreshed(root, capsys):
    (root / "own.py").write_text("own = 1\n")
    git(root, "add", "own.py")
    child = os.fork()
    if not child:
        real = module._apply_cached

        def last(repo, patch, env):
            if not env:
                os.kill(os.getpid(), signal.SIGKILL)
            real(repo, patch, env)

        module._apply_cached = last
        apply(root, {"a.py": b"a = 2\n"}, commit=True)
        os._exit(0)
    os.waitpid(child, 0)
    assert git(root, "diff", "--cached", "--name-only") == "a.py\nown.py\n"
    next_run(root)
    assert git(root, "diff", "--cached", "--name-only") == "own.py\n"
    assert (root / "a.py").read_text() == "a = 2\n"
    assert "whole" in capsys.readouterr().err


def test_a_note_that_stays_is_told(root):
    path = undo.note_path(root)
    (path.with_suffix(".new")).mkdir(parents=True)
    with pytest.raises(EnvironmentFailure, match="cannot be removed"):
        undo.forget(root)


def test_a_note_is_for_its_owner_and_names_its_disk(root):
    undo.note(root, [], [], "0", "")
    path = undo.note_path(root)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["head"] == "0"
    path.with_suffix(".new").mkdir()
    with pytest.raises(OSError) as caught:
        undo.note(root, [], [], "0", "")
    assert caught.value.filename == str(path)


def test_untracked_repositories_and_strange_names_are_not_there(git_repo):
    root = git_repo({"a.py": "a = 1\n"})
    subprocess.run(["git", "init", "-q", root / "nested"], check=True)
    (root / "nested/x.py").write_text("x = 1\n")
    (root / ".git:x").write_text("x")
    with open_repository(root) as repo:
        found = capture(repo)
    assert [file.path for file in found.files] == ["a.py"]
    assert not found.dirty
