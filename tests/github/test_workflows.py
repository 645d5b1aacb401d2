"""The files that GitHub reads: their schemas, an auditor's opinion, and our own rules."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
EXAMPLE = ROOT / "examples/github/agent-fix.yml"
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def run(*command):
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def example(tmp_path):
    """The example with a commit in the place that readers fill in."""
    folder = tmp_path / ".github/workflows"
    folder.mkdir(parents=True)
    text = EXAMPLE.read_text()
    assert text.count("@COMMIT") == 1
    path = folder / "agent-fix.yml"
    path.write_text(text.replace("@COMMIT", "@" + "0123456789abcdef" * 2 + "01234567"))
    return path


def test_schemas(example):
    check = (BIN / "check-jsonschema", "--builtin-schema")
    run(*check, "vendor.github-workflows", *WORKFLOWS, example)
    run(*check, "vendor.github-actions", ROOT / "action.yml")


def test_zizmor_finds_nothing(example):
    audit = (BIN / "zizmor", "--offline", "--persona", "pedantic", "--strict-collection")
    run(*audit, ROOT / "action.yml", *WORKFLOWS, example)


def test_zizmor_would_find_something(tmp_path):
    bad = tmp_path / "bad.yml"
    bad.write_text(
        "on: issues\njobs:\n  a:\n    runs-on: x\n    steps:\n"
        "      - run: echo ${{ github.event.issue.title }}\n"
    )
    with pytest.raises(AssertionError, match="template-injection"):
        run(BIN / "zizmor", "--offline", bad)


def uses(path):
    return re.findall(r"uses:\s*(\S+)(.*)", path.read_text())


def test_actions_of_others_are_pinned_by_digest_with_their_version():
    for path in (ROOT / "action.yml", *WORKFLOWS):
        for action, note in uses(path):
            if not action.startswith("./"):
                assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", action), action
                assert re.fullmatch(r" # v\d+\.\d+\.\d+", note), action


def test_one_digest_for_each_action():
    every = {action for path in (ROOT / "action.yml", *WORKFLOWS) for action, _ in uses(path)}
    pinned = [action for action in every if "@" in action]
    assert len(pinned) == len({action.partition("@")[0] for action in pinned})


def test_the_job_that_runs_code_may_only_read():
    flow = yaml.safe_load((ROOT / ".github/workflows/agent-fix.yml").read_text())
    assert flow["permissions"] == {}
    assert set(flow["jobs"]["solve"]["permissions"].values()) == {"read"}
    for job in flow["jobs"].values():
        assert job["timeout-minutes"] <= 60
        assert "github.event" in job["concurrency"]["group"]
    writers = [name for name, job in flow["jobs"].items() if "write" in job["permissions"].values()]
    assert writers == ["propose"]


def test_nothing_is_interpolated_into_a_script():
    for path in (ROOT / "action.yml", *WORKFLOWS):
        for step in steps(yaml.safe_load(path.read_text())):
            assert "${{" not in step.get("run", ""), step


def test_bubblewrap_gets_a_profile_where_user_namespaces_are_restricted(tmp_path):
    made = steps(yaml.safe_load((ROOT / "action.yml").read_text()))
    (script,) = [step["run"] for step in made if step["name"] == "Sandbox"]
    (tmp_path / "restricted").write_text("1\n")
    for path, other in (
        ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "restricted"),
        ("/etc/apparmor.d/bwrap", "bwrap"),
    ):
        assert path in script
        script = script.replace(path, str(tmp_path / other))
    ours = 'sudo() { "$@"; }; bwrap() { :; }; apparmor_parser() { echo "$@" > loaded; }\n'
    run = ["bash", "-euo", "pipefail", "-c", ours + script]
    subprocess.run(run, cwd=tmp_path, check=True)
    assert (tmp_path / "bwrap").read_text() == (
        "abi <abi/4.0>,\ninclude <tunables/global>\n"
        "profile bwrap /usr/bin/bwrap flags=(unconfined) {\n  userns,\n}\n"
    )
    assert (tmp_path / "loaded").read_text() == f"-r {tmp_path}/bwrap\n"


def steps(value):
    """All steps in a file."""
    if isinstance(value, list):
        for one in value:
            yield from steps(one)
    elif isinstance(value, dict):
        if "run" in value or "uses" in value:
            yield value
        for one in value.values():
            yield from steps(one)


def test_the_workflow_hands_on_inputs_that_the_action_has():
    declared = set(yaml.safe_load((ROOT / "action.yml").read_text())["inputs"])
    flow = yaml.safe_load((ROOT / ".github/workflows/agent-fix.yml").read_text())
    given = [set(step["with"]) for step in steps(flow) if step.get("uses", "").startswith("./")]
    assert len(given) == 3
    assert set().union(*given) <= declared
    asked = set(flow[True]["workflow_call"]["inputs"]) - {"runner"}
    assert asked <= set().union(*given)


def test_readers_are_shown_the_example_as_it_is():
    text = EXAMPLE.read_text().split("\n", 2)[2]
    assert text in (ROOT / "README.md").read_text()
