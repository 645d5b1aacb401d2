"""Running commands: what they see, how they end, and that nothing of them stays."""

from __future__ import annotations

import os

import pytest

from tools.sandbox.base import PathError, Sandbox, SandboxError


def test_exit_code_and_streams(sandbox: Sandbox) -> None:
    result = sandbox.run(["sh", "-c", "echo out; echo err >&2; exit 7"])
    assert (result.exit_code, result.stdout, result.stderr) == (7, b"out\n", b"err\n")
    assert result.killed_by is None
    assert result.cut == 0
    assert result.seconds < 10


def test_death_by_signal_is_128_plus_its_number(sandbox: Sandbox) -> None:
    assert sandbox.run(["sh", "-c", "kill -TERM $$"]).exit_code == 128 + 15


def test_missing_and_forbidden_programs(sandbox: Sandbox) -> None:
    assert sandbox.run(["no-such-program"]).exit_code == 127
    assert sandbox.run(["./a.py"]).exit_code == 126
    with pytest.raises(SandboxError):
        sandbox.run([])


def test_stdin_of_any_size(sandbox: Sandbox) -> None:
    data = os.urandom(300_000)
    assert sandbox.run(["wc", "-c"], stdin=data).stdout.strip() == b"300000"
    assert sandbox.run(["cat"]).stdout == b""
    assert sandbox.run(["true"], stdin=data).exit_code == 0


def test_environment_is_clean(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPRENTICE_SECRET", "hunter2")
    out = sandbox.run(["env"], env={"GIVEN": "yes"}).stdout.decode()
    names = {line.partition("=")[0] for line in out.splitlines()}
    allowed = {
        *(
            "HOME",
            "TMPDIR",
            "USER",
            "LOGNAME",
            "LANG",
            "LC_ALL",
            "TZ",
            "PATH",
            "PWD",
            "VIRTUAL_ENV",
        ),
        *("PYTHONDONTWRITEBYTECODE", "PYTHONNOUSERSITE", "GIVEN"),
    }
    assert names <= allowed
    assert "GIVEN=yes" in out
    assert "HOME=/tmp" in out.splitlines()


def test_spec_environment_reaches_commands(opener) -> None:  # type: ignore[no-untyped-def]
    sandbox = opener(env={"FROM_SPEC": "1"})
    assert sandbox.run(["sh", "-c", "echo $FROM_SPEC"]).stdout == b"1\n"


def test_secrets_do_not_reach_the_supervisor(
    opener,
    monkeypatch: pytest.MonkeyPatch,  # type: ignore[no-untyped-def]
) -> None:
    monkeypatch.setenv("APPRENTICE_SECRET", "hunter2")
    sandbox = opener()
    out = sandbox.run(["sh", "-c", "cat /proc/*/environ /proc/*/cmdline 2>/dev/null"]).stdout
    assert b"hunter2" not in out


def test_cwd(sandbox: Sandbox) -> None:
    assert sandbox.run(["pwd"]).stdout.decode().strip() == sandbox.workspace
    assert sandbox.run(["./run.sh"], cwd="src").stdout == b"ran\n"
    for bad in ("..", "/", "missing", "a.py", "src/../.."):
        with pytest.raises(PathError):
            sandbox.run(["true"], cwd=bad)
    sandbox.run(["ln", "-s", "/", "out"])
    with pytest.raises(PathError):
        sandbox.run(["true"], cwd="out")


def test_git_sees_one_clean_commit(sandbox: Sandbox) -> None:
    log = sandbox.run(["git", "log", "--format=%an %ae %ad", "--date=unix"])
    assert log.stdout == b"apprentice apprentice@localhost 946684800\n", log.stderr
    shown = sandbox.run(["git", "ls-files", "kept.log", "a.py"]).stdout.split()
    assert shown == [b"a.py", b"kept.log"]
    sandbox.write("a.py", b"print(4)\n")
    assert sandbox.run(["git", "status", "--short", "a.py"]).stdout == b" M a.py\n"


def test_commands_have_low_priority(sandbox: Sandbox) -> None:
    assert sandbox.run(["nice"]).stdout == b"19\n"


def test_root_is_read_only_and_host_is_hidden(sandbox: Sandbox, tmp_path) -> None:  # type: ignore[no-untyped-def]
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    secret.chmod(0o644)
    assert sandbox.run(["cat", str(secret)]).exit_code != 0
    for path in ("/usr/x", "/etc/x", "/x", "/bin/x"):
        assert sandbox.run(["touch", path]).exit_code != 0, path
    for path in ("/etc/shadow", "/var/run/docker.sock", "/run/docker.sock"):
        assert sandbox.run(["cat", path]).exit_code != 0, path
    assert sandbox.run(["ls", os.path.expanduser("~/.ssh")]).exit_code != 0


def test_placed_helpers(sandbox: Sandbox) -> None:
    path = sandbox.place("helper.py", b"print('helped')")
    assert not path.startswith(sandbox.workspace)
    assert sandbox.run([sandbox.python, path]).stdout == b"helped\n"
    script = f"echo x > {path}; rm -f {path}; mv {path} {path}2; chmod 777 {path}; cat {path}"
    assert sandbox.run(["sh", "-c", script]).stdout == b"print('helped')"
    assert sandbox.place("helper.py", b"print('again')") == path
    assert sandbox.run([sandbox.python, path]).stdout == b"again\n"
    for bad in ("", "..", "a/b", "/x", "n\0l"):
        with pytest.raises(PathError):
            sandbox.place(bad, b"")


def test_multiprocessing_works(sandbox: Sandbox) -> None:
    script = "import multiprocessing as m; print(m.get_context('fork').Pool(2).map(abs, [-1, -2]))"
    result = sandbox.run([sandbox.python, "-c", script])
    assert result.stdout == b"[1, 2]\n", result.stderr
