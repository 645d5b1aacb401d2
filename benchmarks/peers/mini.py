"""mini-SWE-agent: a loop over bash, one command a turn."""

from __future__ import annotations

from peer import Peer, Question


def _argv(question: Question) -> list[str]:
    task = f"{question.issue}\n\nThe tests run with `{question.test_command}`."
    settings = (
        "agent.cost_limit=0",
        "agent.max_consecutive_format_errors=0",
        "environment.timeout=60",
        "model.cost_tracking=ignore_errors",
        f"model.model_kwargs.api_base={question.url}",
        "model.model_kwargs.temperature=0.7",
        "model.model_kwargs.max_tokens=1024",
    )
    return [
        *("-E", "-P", "-m", "minisweagent.run.mini", "--yolo", "--exit-immediately"),
        *("--config", "mini_textbased.yaml"),
        *(word for setting in settings for word in ("--config", setting)),
        *("--model", f"openai/{question.model}", "--model-class", "litellm_textbased"),
        *("--output", "/tmp/trajectory.json", "--task", task),
    ]


def _env(question: Question) -> dict[str, str]:
    return {
        "OPENAI_API_KEY": "none",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "MSWEA_CONFIGURED": "true",
        "MSWEA_SILENT_STARTUP": "1",
        "MSWEA_MODEL_RETRY_STOP_AFTER_ATTEMPT": "2",
    }


MINI = Peer("mini-swe-agent", "mini-swe-agent==2.4.6", _argv, _env)
