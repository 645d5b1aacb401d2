"""Aider: edits in a text format, with a map of the repository and the tests after each edit."""

from __future__ import annotations

import json

from peer import Peer, Question

EDIT_FORMAT = "whole"


def _argv(question: Question) -> list[str]:
    return [
        *("-E", "-P", "-m", "aider", "--yes-always", "--message", question.issue),
        *("--model", f"openai/{question.model}", "--weak-model", f"openai/{question.model}"),
        *("--edit-format", EDIT_FORMAT, "--map-tokens", "1024", "--no-show-model-warnings"),
        *("--auto-test", "--test-cmd", question.test_command),
        *("--no-auto-commits", "--no-dirty-commits", "--no-gitignore", "--no-auto-lint"),
        *("--no-analytics", "--no-check-update", "--no-show-release-notes"),
        *("--no-suggest-shell-commands", "--no-detect-urls", "--no-pretty", "--no-fancy-input"),
        *("--disable-playwright", "--encoding", "utf-8"),
    ]


def _env(question: Question) -> dict[str, str]:
    return {
        "OPENAI_API_BASE": question.url,
        "OPENAI_API_KEY": "none",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }


def _files(question: Question) -> dict[str, bytes]:
    known = {
        f"openai/{question.model}": {
            "max_tokens": question.context_tokens,
            "max_input_tokens": question.context_tokens,
            "max_output_tokens": question.context_tokens // 4,
            "input_cost_per_token": 0.0,
            "output_cost_per_token": 0.0,
            "litellm_provider": "openai",
            "mode": "chat",
        }
    }
    return {".aider.model.metadata.json": json.dumps(known).encode()}


AIDER = Peer("aider", "aider-chat==0.86.2", _argv, _env, _files)
