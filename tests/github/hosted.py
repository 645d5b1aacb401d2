"""A runner for our workflows: jobs in order, `run:` steps with bash, artifacts in a folder.

The actions of others that we use are played here; everything of ours is run as it is.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.github.expressions import evaluate, fill

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github/workflows/agent-fix.yml"
READ, WRITE = "token-that-reads", "token-that-writes"


@dataclass
class Done:
    """A job that has run: its outputs, what was printed, its summary, and how it ended."""

    outputs: dict[str, str] = field(default_factory=dict)
    log: str = ""
    summary: str = ""
    commands: list[str] = field(default_factory=list)
    failed: str = ""


@dataclass
class Hosted:
    """GitHub as a workflow sees it: a remote, an API, events and artifacts.

    With `installed`, Apprentice is on the runner already; `timeout` is for each step, in seconds.
    Scripted policies are made for `strategies` of conversation.
    """

    folder: Path
    remotes: Path
    api_url: str
    repository: str = "octo/shop"
    run_id: str = "77"
    artifacts: dict[str, tuple[str, str, Path]] = field(default_factory=dict)
    installed: bool = True
    timeout: float = 280.0
    strategies: str = "conversation"

    def run(
        self,
        event_name: str,
        event: Mapping[str, Any],
        inputs: Mapping[str, Any] | None = None,
        secrets: Mapping[str, str] | None = None,
        solved: Mapping[str, str] | None = None,
    ) -> dict[str, Done]:
        """Run the reusable workflow for an event; the jobs that were not skipped.

        With `solved`, the solve job is not run, but taken to have put that out.
        """
        flow = yaml.safe_load(WORKFLOW.read_text())
        declared = flow[True]["workflow_call"]["inputs"]
        given = {name: declared[name].get("default") for name in declared} | dict(inputs or {})
        assert set(given) == set(declared), "an input that the workflow does not have"
        done: dict[str, Done] = {}
        for name, job in flow["jobs"].items():
            needs = {
                one: {
                    "outputs": done[one].outputs if one in done else dict(solved or {}),
                    "result": _result(done.get(one), solved),
                }
                for one in ([job["needs"]] if "needs" in job else [])
            }
            context = {
                "inputs": given,
                "secrets": dict(secrets or {}),
                "needs": needs,
                "job": {"workflow_repository": "octo/apprentice", "workflow_sha": "self"},
                "github": {
                    "event_name": event_name,
                    "event": event,
                    "repository": self.repository,
                    "token": WRITE if job["permissions"].get("contents") == "write" else READ,
                },
            }
            if solved is not None and name == "solve":
                continue
            if evaluate(job["if"], context):
                done[name] = self._job(name, job, context, event_name, event)
        return done

    def _job(
        self, name: str, job: Any, context: dict[str, Any], event_name: str, event: Any
    ) -> Done:
        assert job["timeout-minutes"]
        assert job["concurrency"]["group"]
        work = self.folder / f"{name}-{len(list(self.folder.iterdir()))}"
        temp = work / "_temp"
        (temp / "apprentice/bin").mkdir(parents=True)
        (work / "workspace").mkdir()
        if self.installed:
            (temp / "apprentice/bin/agent").symlink_to(Path(sys.executable).parent / "agent")
        (temp / "event.json").write_text(json.dumps(event))
        context["runner"] = {"temp": str(temp), "os": "Linux"}
        env = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(work),
            "VIRTUAL_ENV": sys.prefix,
            "RUNNER_TEMP": str(temp),
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_NAME": event_name,
            "GITHUB_EVENT_PATH": str(temp / "event.json"),
            "GITHUB_REPOSITORY": self.repository,
            "GITHUB_SERVER_URL": f"file://{self.remotes}",
            "GITHUB_API_URL": self.api_url,
            "GITHUB_RUN_ID": self.run_id,
            "GITHUB_RUN_ATTEMPT": "1",
            **({"APPRENTICE_STRATEGIES": self.strategies} if self.strategies else {}),
        }
        if ours := os.environ.get("PYTHONPATH"):
            env["PYTHONPATH"] = ours
        done = Done()
        steps = self._steps(job["steps"], context, env, work / "workspace", done)
        done.outputs = {
            key: fill(value, {**context, "steps": steps})
            for key, value in job.get("outputs", {}).items()
        }
        return done

    def _steps(
        self, steps: Any, context: dict[str, Any], env: dict[str, str], place: Path, done: Done
    ) -> dict[str, Any]:
        """Run steps in order; what each put out, by its id."""
        seen: dict[str, Any] = {}
        here = {**context, "steps": seen}
        for step in steps:
            condition = step.get("if", "true")
            skipped = done.failed and "always()" not in condition
            outcome, outputs = "skipped", {}
            if not skipped and evaluate(condition, here):
                outcome, outputs = self._step(step, here, env, place, done)
                if outcome == "failure" and not step.get("continue-on-error"):
                    done.failed = done.failed or step["name"]
            if "id" in step:
                seen[step["id"]] = {"outputs": outputs, "outcome": outcome}
        return seen

    def _step(
        self, step: Any, context: dict[str, Any], env: dict[str, str], place: Path, done: Done
    ) -> tuple[str, dict[str, str]]:
        if "run" in step:
            assert "${{" not in step["run"], "nothing is interpolated into a script"
            return self._script(step, context, env, place, done)
        given = {key: fill(value, context) for key, value in step.get("with", {}).items()}
        action, _, pin = step["uses"].partition("@")
        if action.startswith("./"):
            return self._own(place / action, given, context, env, place, done)
        assert re.fullmatch("[0-9a-f]{40}", pin), step["uses"]
        return getattr(self, action.replace("actions/", "").replace("-", "_"))(given, place)

    def _own(
        self, action: Path, given: Any, context: Any, env: dict[str, str], place: Path, done: Done
    ) -> tuple[str, dict[str, str]]:
        """An action of ours, from its action.yml."""
        made = yaml.safe_load((action / "action.yml").read_text())
        assert set(given) <= set(made["inputs"]), "an input that the action does not have"
        inner = {
            "github": {**context["github"], "action_path": str(action)},
            "runner": context["runner"],
        }
        inner["inputs"] = {
            name: given.get(name, fill(one.get("default", ""), inner))
            for name, one in made["inputs"].items()
        }
        steps = self._steps(made["runs"]["steps"], inner, env, place, done)
        outputs = {
            name: fill(one["value"], {"steps": {**_Nothing(), **steps}})
            for name, one in made["outputs"].items()
        }
        return ("failure" if done.failed else "success"), outputs

    def _script(
        self, step: Any, context: Any, env: dict[str, str], place: Path, done: Done
    ) -> tuple[str, dict[str, str]]:
        assert step["shell"] == "bash"
        number = len(list(place.parent.iterdir()))
        script, output, summary = (place.parent / f"{number}-{n}" for n in ("sh", "out", "md"))
        script.write_text(step["run"])
        output.touch()
        summary.touch()
        own = {key: fill(value, context) for key, value in step.get("env", {}).items()}
        files = {"GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(summary)}
        ran = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", script],
            env={**env, **own, **files},
            cwd=place / fill(step.get("working-directory", "."), context),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=self.timeout,
        )
        done.log += ran.stdout
        done.commands += _commands(ran.stdout)
        done.summary += summary.read_text()
        return ("failure" if ran.returncode else "success"), _outputs(output.read_text())

    def checkout(self, given: dict[str, str], place: Path) -> tuple[str, dict[str, str]]:
        """actions/checkout: a clone of the remote, or the folder of this repository."""
        assert given["persist-credentials"] == "false"
        if "repository" in given:
            assert (given["repository"], given["ref"]) == ("octo/apprentice", "self")
            (place / given["path"]).symlink_to(ROOT)
        else:
            remote = f"file://{self.remotes}/{self.repository}.git"
            clone = ["git", "clone", "--quiet", "--depth=1", remote, str(place / given["path"])]
            subprocess.run(clone, check=True)
        return "success", {}

    def setup_python(self, *_: Any) -> tuple[str, dict[str, str]]:
        """actions/setup-python: there is one already."""
        return "success", {}

    def cache(self, given: dict[str, str], _: Path) -> tuple[str, dict[str, str]]:
        """actions/cache: a model that is here is linked to where it is wanted."""
        assert "," not in given["key"]
        if models := os.environ.get("APPRENTICE_MODELS"):
            Path(given["path"]).symlink_to(models)
        return "success", {}

    def upload_artifact(self, given: dict[str, str], _: Path) -> tuple[str, dict[str, str]]:
        """actions/upload-artifact."""
        source = Path(given["path"])
        if not source.exists():
            return "failure", {}
        number = str(1000 + len(self.artifacts))
        kept = self.folder.parent / "artifacts" / number
        if source.is_dir():
            shutil.copytree(source, kept)
        else:
            kept.mkdir(parents=True)
            shutil.copy(source, kept)
        self.artifacts[number] = (given["name"], self.run_id, kept)
        return "success", {"artifact-id": number}

    def download_artifact(self, given: dict[str, str], _: Path) -> tuple[str, dict[str, str]]:
        """actions/download-artifact: by number, or by name and run."""
        for number, (name, run, kept) in self.artifacts.items():
            wanted = (given["name"], given["run-id"]) if "name" in given else None
            if wanted == (name, run) or given.get("artifact-ids") == number:
                shutil.copytree(kept, given["path"], symlinks=True)
                return "success", {}
        return "failure", {}


def _result(job: Done | None, solved: Mapping[str, str] | None) -> str:
    """How a job ended, as the jobs that need it see it."""
    if job is None:
        return "skipped" if solved is None else "success"
    return "failure" if job.failed else "success"


class _Nothing(dict[str, Any]):
    """Steps of other jobs that the action's outputs name."""


def _commands(text: str) -> list[str]:
    """The workflow commands that a runner would obey."""
    found, stopped = [], ""
    for line in text.splitlines():
        row = line.strip()
        if stopped:
            stopped = "" if row == f"::{stopped}::" else stopped
        elif row.startswith("::stop-commands::"):
            stopped = row.removeprefix("::stop-commands::")
        elif row.startswith(("::", "##[")):
            found.append(row)
    return found


def _outputs(text: str) -> dict[str, str]:
    """GITHUB_OUTPUT, as a runner reads it."""
    found: dict[str, str] = {}
    lines = iter(text.splitlines())
    for line in lines:
        name, sign, value = line.partition("=")
        if "<<" in name or not sign:
            name, _, end = line.partition("<<")
            value = "\n".join(iter(lambda: next(lines), end))
        found[name] = value
    return found
