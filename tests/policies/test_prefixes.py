"""The tokens that a text was, and how many threads there are."""

from __future__ import annotations

import os
import sys

import pytest

from policies import cores
from policies.cores import MAX_THREADS, default_threads
from policies.prefixes import PrefixMap


def test_the_longest_prefix_that_ends_a_turn():
    known = PrefixMap("<end>")
    known.add("P:", "answer", (1, 2))
    known.add("P:", "answer<end>Q:more", (1, 2, 3, 4))
    assert known.longest("P:answer<end>Q:more<end>R:") == ("P:answer<end>Q:more", (1, 2, 3, 4))
    assert known.longest("P:answer<end>Z") == ("P:answer", (1, 2))
    assert known.longest("P:answered<end>") == ("", ())


def test_a_template_that_strips_is_matched():
    known = PrefixMap("<end>")
    known.add("P:", " answer\n", (1, 2))
    assert known.longest("P:answer<end>")[1] == (1, 2)
    assert known.longest("P: answer\n<end>")[1] == (1, 2)


def test_the_map_is_bounded_and_keeps_what_is_used():
    known = PrefixMap("<end>", limit=3)
    for index in range(3):
        known.add("P:", f"{index}", (index,))
    known.longest("P:0<end>")
    known.add("P:", "3", (3,))
    assert len(known) == 3
    assert known.longest("P:0<end>")[1] == (0,)
    assert known.longest("P:1<end>")[1] == ()


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's topology")
@pytest.mark.parametrize(
    ("cpus", "siblings", "quota", "threads"),
    [
        (4, 2, "max 100000", 2),
        (4, 1, "max 100000", 4),
        (4, 1, "250000 100000", 2),
        (4, 1, "50000 100000", 1),
        (4, 1, None, 4),
        (4, None, "max 100000", 4),
        (32, 2, "max 100000", MAX_THREADS),
    ],
)
def test_threads(tmp_path, monkeypatch, cpus, siblings, quota, threads):
    for cpu in range(cpus if siblings else 0):
        topology = tmp_path / f"cpu{cpu}/topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{cpu // siblings}\n")
    if quota:
        (tmp_path / "cpu.max").write_text(f"{quota}\n")
    monkeypatch.setattr(cores, "_CPUS", tmp_path)
    monkeypatch.setattr(cores, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cpus)))
    assert default_threads() == threads
