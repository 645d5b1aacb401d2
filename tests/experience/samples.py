"""One event of every kind, and a database filled with a small solved trajectory."""

from policies.base import Message, Sampling, ToolCall, Usage
from policies.experience import events as e

DIFF = """\
--- a/calc.py
+++ b/calc.py
@@ -1,2 +1,2 @@
 def add(a, b):
-    return a - b
+    return a + b
"""


def trajectory() -> list[e.Event]:
    here = {"attempt": 0, "round": 1}
    return [
        e.TaskStarted(
            issue="add() subtracts\n\nIt returns 0 for add(1, 1).",
            repository="/home/someone/calc",
            base_commit="0123456789abcdef0123",
            dirty=True,
            policy_version="qwen-1.5b",
            sandbox="bubblewrap",
            package_version="0.1.0",
            settings={"samples": 4},
        ),
        e.Prepared(
            sandbox="bubblewrap",
            files=3,
            bytes=1234,
            test_command=("pytest", "-q"),
            seconds=0.2,
            phase="prepare",
        ),
        e.Tested(
            label="baseline",
            outcomes={"t.py::test_add": "failed", "t.py::test_sub": "passed"},
            exit_code=1,
            seconds=0.7,
            phase="reproduce",
        ),
        e.Screened(
            tried=40,
            clean=1,
            left_out=3,
            failed=((0, "    x = a"),),
            seconds=0.5,
            attempt=0,
            phase="test",
        ),
        e.Shortened(observations=2, phase="edit", attempt=0),
        e.Located(symbols=(("calc.py::add", 0.91),), seconds=0.01, phase="reproduce"),
        e.Prompted(
            message=Message(role="user", content="Fix it.\n" + "context line\n" * 400),
            phase="plan",
            **here,
        ),
        e.Sampled(
            text="The operator is wrong.",
            tool_calls=(ToolCall(id="1", name="edit", arguments={"symbol": "add"}),),
            completion_ids=(1, 2, 3),
            logprobs=(-0.1, -0.2, float("-inf")),
            finish_reason="stop",
            sampling=Sampling(),
            usage=Usage(prompt=900, cached=800, completion=40),
            seconds=2.5,
            policy_version="qwen-1.5b",
            phase="edit",
            **here,
        ),
        e.Acted(tool="edit", arguments={"symbol": "add"}, phase="edit", **here),
        e.Observed(tool="edit", ok=True, text="\x1b[31mdone\x1b[0m", cut=7, phase="edit", **here),
        e.Patched(diff=DIFF, phase="edit", **here),
        e.Tested(
            label="candidate",
            outcomes={"t.py::test_add": "passed", "t.py::test_sub": "passed"},
            exit_code=0,
            seconds=0.6,
            phase="test",
            **here,
        ),
        e.Judged(
            verified=True,
            reasons=("all tests pass",),
            findings=(),
            rewards={"resolved": 1.0, "tamper": None},
            fixed=("t.py::test_add",),
            broken=(),
            diff_sha256="ab",
            seconds=0.8,
            phase="verify",
            **here,
        ),
        e.AttemptEnded(reason="solved", **here),
        e.Applied(target="working tree", files=("calc.py",), phase="apply"),
        e.Finished(
            status="solved",
            exit_code=0,
            seconds=65.0,
            prompt_tokens=900,
            cached_tokens=800,
            completion_tokens=40,
        ),
        e.Feedback(outcome="merged", source="github", link="https://github.test/x/pull/1"),
    ]
