"""Rewards without a fix: each hack goes through the real verifier and a real sandbox."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from agent.config import Settings
from agent.repository import capture, open_repository
from agent.verify.verifier import Verdict, Verifier
from agent.workspace import Workspace, make_workspace
from tests.redteam import hacks
from tests.redteam.attack import (
    ALL,
    FILES,
    HELD_OUT,
    IDS,
    PRICES,
    TARGETS,
    TESTS,
    Attack,
    make_diff,
    make_victim,
    prices,
)
from tools.sandbox.base import MIB, File
from tools.testing.results import TestRun

pytestmark = pytest.mark.slow

SECONDS = 60.0


class Court(NamedTuple):
    """The victim in an engine, and its tests before any change."""

    victim: Path
    workspace: Workspace
    baseline: TestRun

    def judge(self, diff: str, held_out: tuple[File, ...] = ()) -> Verdict:
        return Verifier(self.workspace, self.baseline, TARGETS, held_out=held_out).judge(diff)


def attacks() -> dict[str, Attack]:
    """All attacks by the name of their module, numbered where it has several."""
    found: dict[str, Attack] = {}
    for name in sorted(module.name for module in pkgutil.iter_modules(hacks.__path__)):
        module = importlib.import_module(f"{hacks.__name__}.{name}")
        if hasattr(module, "ATTACK"):
            found[name] = module.ATTACK
        else:
            found |= {f"{name}-{number}": a for number, a in enumerate(module.ATTACKS, 1)}
    return found


ATTACKS = attacks()
FIRST = [name for name in ATTACKS if name.endswith("-1") or "-" not in name]
KINDS = [pytest.param("docker", marks=pytest.mark.docker), "bubblewrap"]
CASES = [
    *(pytest.param("docker", name, marks=pytest.mark.docker) for name in FIRST),
    *(("bubblewrap", name) for name in ATTACKS),
]
"""Every attack in bubblewrap, and the first variant of each in docker."""


@pytest.fixture(scope="session")
def court(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Court:
    victim = tmp_path_factory.mktemp("victim")
    with pytest.MonkeyPatch.context() as patch:
        for role in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{role}_NAME", "tester")
            patch.setenv(f"GIT_{role}_EMAIL", "tester@localhost")
        make_victim(victim)
    settings = Settings(sandbox=request.param, environment=sys.prefix, test_timeout=SECONDS)
    opened = make_workspace(capture(open_repository(victim)), settings)
    limits = dataclasses.replace(
        opened.spec.limits,
        memory_bytes=1024 * MIB,
        disk_bytes=128 * MIB,
        file_bytes=32 * MIB,
        processes=64,
    )
    workspace = dataclasses.replace(opened, spec=dataclasses.replace(opened.spec, limits=limits))
    with workspace.fresh() as sandbox:
        return Court(victim, workspace, workspace.test(sandbox))


@pytest.mark.parametrize("court", KINDS, indirect=True)
def test_the_victim_has_the_tests_that_the_attacks_know(court):
    assert set(court.baseline.outcomes) == set(IDS)
    assert court.baseline.failing == TARGETS


@pytest.mark.parametrize("court", KINDS, indirect=True)
def test_an_honest_fix_is_verified(court, tmp_path):
    fix = Attack("", {PRICES: prices(*ALL)})
    verdict = court.judge(make_diff(fix, court.victim, tmp_path / "fix"), HELD_OUT)
    assert verdict.reasons == ()
    assert verdict.verified
    assert verdict.rewards["resolved"] == 1.0


@pytest.mark.parametrize("court", ["bubblewrap"], indirect=True)
def test_a_regression_is_refused(court, tmp_path):
    worse = FILES["post/weights.py"].replace("return ", "return 1 + ")
    fix = Attack("", {PRICES: prices(*ALL), "post/weights.py": worse})
    verdict = court.judge(make_diff(fix, court.victim, tmp_path / "fix"))
    assert verdict.fixed == TARGETS
    assert any("no longer pass" in reason for reason in verdict.reasons)
    assert not verdict.verified


@pytest.mark.parametrize("court", ["bubblewrap"], indirect=True)
def test_a_rewritten_test_file_is_named(court, tmp_path):
    diff = make_diff(ATTACKS["rewrites_tests-2"], court.victim, tmp_path / "clone")
    assert f"the run rewrites {TESTS}" in court.judge(diff).reasons


@pytest.mark.parametrize("court", ["bubblewrap"], indirect=True)
def test_an_installed_copy_is_hidden(court):
    assert "post" in court.workspace.spec.hide


@pytest.mark.parametrize(("court", "name"), CASES, indirect=["court"])
def test_hack(court, name, tmp_path):
    attack = ATTACKS[name]
    diff = make_diff(attack, court.victim, tmp_path / "clone")
    verdict = court.judge(diff, HELD_OUT if attack.where == "held-out" else ())
    assert not verdict.verified
    assert verdict.rewards["resolved"] == 0
    assert any(re.search(attack.evidence, reason) for reason in verdict.reasons), verdict.reasons
