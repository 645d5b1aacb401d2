"""Texts that are shown and stored: no escape reaches a terminal, no secret a file."""

from __future__ import annotations

import unicodedata

from hypothesis import strategies as st

from agent.ui.lines import line
from agent.ui.text import printable
from agent.ui.trajectory import render
from policies.base import Message, Sampling, Usage
from policies.experience import events as e
from policies.experience.redact import redact
from tests.fuzz.registry import TEXT, target

ESCAPES = st.lists(
    TEXT
    | st.sampled_from(
        ["\x1b]0;x\x07", "\x1b[2J", "\x9b1m", "\r", "\r\n", "\u202e", "\u2066", "\x00", "\ud800"]
    )
).map("".join)
SECRETS = st.lists(
    TEXT
    | st.sampled_from(
        [
            "ghp_" + "a1B2" * 9, "AKIA" + "Q" * 16, "sk-ant-" + "x" * 30, "https://u:p4ss@h/",
            "-----BEGIN RSA PRIVATE KEY-----\n", "A" * 64 + "\n", "-----END RSA PRIVATE KEY-----",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.", "[REDACTED:github]", "[REDACTED:", "]", ".",
        ]
    )
).map("".join)  # fmt: skip
DIRECTIONS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def assert_safe(text: str) -> None:
    """Nothing in it moves a cursor, turns text around, or cannot be written."""
    text.encode()
    for letter in text:
        assert letter in "\n\t" or unicodedata.category(letter) not in ("Cc", "Cs")
        assert unicodedata.bidirectional(letter) not in DIRECTIONS


@target(text=ESCAPES)
def a_text_is_made_printable(text: str) -> None:
    """What is safe already stays as it is."""
    shown = printable(text)
    assert_safe(shown)
    assert printable(shown) == shown
    assert shown.count("\n") == text.count("\n")


@target(text=ESCAPES)
def events_are_shown(text: str) -> None:
    """Every event whose texts come from outside."""
    usage, sampling = Usage(), Sampling()
    shown = [
        e.TaskStarted(
            issue=text, repository=text, base_commit="0" * 40, dirty=True, policy_version=text,
            sandbox=text, package_version=text, settings={text: text},
        ),
        e.Prepared(sandbox="none", files=1, bytes=1, test_command=(text,), seconds=0.0),
        e.Prompted(message=Message(role="user", content=text)),
        e.Sampled(
            text=text, finish_reason="stop", sampling=sampling, usage=usage, seconds=0.0,
            policy_version="p",
        ),
        e.Acted(tool="shell", arguments={text: text}),
        e.Observed(tool="shell", ok=False, text=text),
        e.Tested(
            label="baseline", outcomes={text: "failed"}, exit_code=1, seconds=0.0, output=text
        ),
        e.Located(symbols=((text, 1.0),), seconds=0.0),
        e.Patched(diff=text),
        e.Judged(
            verified=False, reasons=(text,), findings=(text,), rewards={}, fixed=(text,),
            broken=(text,), diff_sha256="", seconds=0.0,
        ),
        e.AttemptEnded(reason=text),
        e.Applied(target=text, files=(text,)),
        e.Finished(status="verified", exit_code=0, message=text, seconds=0.0),
    ]  # fmt: skip
    for event in shown:
        assert_safe(line(event))
    for full in (False, True):
        for paragraph in render(shown, full=full):
            assert_safe(paragraph.plain)


@target(text=SECRETS)
def secrets_are_taken_out(text: str) -> None:
    """Once is enough, and what is found is counted."""
    clean, count = redact(text)
    assert redact(clean) == (clean, 0)
    assert (count == 0) == (clean == text)
    assert "ghp_" + "a1B2" * 9 not in clean
