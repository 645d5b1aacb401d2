"""Running commands: what they see, how they end, and that nothing of them stays."""

from __future__ import annotations

import os
import time

import pytest

from tools.sandbox.base import PathError, Sandbox, SandboxError


def alive(sandbox: Sandbox) -> list[str]:
    """Command lines of everything inside but the supervisor and the listing itself."""
    script = (
        "for p in /proc/[0-9]*; do [ $p != /proc/1 ] && [ $p != /proc/$$ ] "
        "&& tr '\\0' ' ' < $p/cmdline && echo; done; true"
    )
    lines = sandbox.run(["sh", "-c", script]).stdout.decode().splitlines()
    return [line for line in lines if line.strip() and "cmdline" not in line and "tr " not in line]


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


DAEMON = r"""
import os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT): signal.signal(number, signal.SIG_IGN)
if os.fork(): time.sleep({parent}); sys.exit(0)
os.setsid()
if os.fork(): os._exit(0)
sys.stdout.write("daemon\n"); sys.stdout.flush()
time.sleep(600)
"""


def test_timeout_kills_the_whole_tree(sandbox: Sandbox) -> None:
    start = time.monotonic()
    result = sandbox.run([sandbox.python, "-c", DAEMON.format(parent=600)], timeout=1.0)
    assert time.monotonic() - start < 10
    assert result.killed_by == "timeout"
    assert result.exit_code == 137
    assert b"daemon" in result.stdout
    assert alive(sandbox) == []


def test_daemons_die_when_their_command_ends(sandbox: Sandbox) -> None:
    result = sandbox.run([sandbox.python, "-c", DAEMON.format(parent=0.3)])
    assert result.exit_code == 0
    assert result.killed_by is None
    assert alive(sandbox) == []
    assert sandbox.run(["sh", "-c", "sleep 600 & sleep 600 & echo done"]).seconds < 10
    assert alive(sandbox) == []


def test_commands_cannot_reach_the_supervisor(sandbox: Sandbox) -> None:
    script = (
        "kill -9 1; kill -9 -1; cat /proc/1/mem /proc/1/environ; ls /proc/1/fd "
        "/apprentice/private/shadow.git; echo x > /apprentice/tools/x; echo x > /apprentice/x"
    )
    sandbox.run(["sh", "-c", script])
    assert sandbox.run(["sh", "-c", "ls /apprentice/private/shadow.git"]).exit_code != 0
    assert sandbox.run(["ls", "/apprentice/tools"]).stdout == b""
    status = sandbox.run(["cat", "/proc/self/status"]).stdout.decode()
    assert "CapEff:\t0000000000000000" in status
    assert "CapPrm:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status


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


NETWORK = r"""
import socket
for address in (("1.1.1.1", 53), ("169.254.169.254", 80)):
    try:
        socket.create_connection(address, timeout=2)
    except OSError:
        continue
    raise SystemExit(3)
try:
    socket.getaddrinfo("pypi.org", 443)
except OSError:
    pass
else:
    raise SystemExit(4)
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname(), timeout=2)
print(sorted(name for _, name in socket.if_nameindex()))
"""


def test_no_network_but_loopback(sandbox: Sandbox) -> None:
    result = sandbox.run([sandbox.python, "-c", NETWORK])
    assert result.exit_code == 0, result.stderr
    assert b"'lo'" in result.stdout
    assert b"eth" not in result.stdout


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
