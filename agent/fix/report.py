"""What came of `agent fix`, for people and for programs."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.fix.checks import Checked
from agent.status import Status
from agent.ui.text import printable
from tools.base import capped

if TYPE_CHECKING:
    from agent.fix.documents import FixReport

OUTPUT_CHARACTERS = 8000


@dataclass(frozen=True)
class Report:
    """How it ended. `checked` are the checks on what was staged, before any fix; `diff` is what
    was changed in `files`; `message` says why nothing was, `hint` what to do about it."""

    status: Status
    checked: Sequence[Checked]
    message: str = ""
    hint: str = ""
    files: Sequence[str] = ()
    diff: str = ""
    trajectories: Sequence[str] = ()
    seconds: float = 0.0

    def document(self) -> FixReport:
        """What `--json` prints."""
        from agent.fix.documents import CheckReport, FixReport

        return FixReport(
            status=self.status,
            exit_code=self.status.exit_code,
            message=self.message,
            hint=self.hint,
            checks=tuple(
                CheckReport(
                    command=checked.check.shown,
                    passed=checked.passed,
                    exit_code=checked.run.exit_code,
                    seconds=round(checked.run.seconds, 3),
                    output=checked.run.output,
                )
                for checked in self.checked
            ),
            files=tuple(self.files),
            diff=self.diff,
            trajectories=tuple(self.trajectories),
            seconds=round(self.seconds, 3),
        )

    def as_text(self) -> str:
        """The output of failed checks, then what was done about them; safe for a terminal."""
        if self.status is Status.NOTHING_TO_DO:
            return f"{len(self.checked)} checks pass." if self.checked else "Nothing to check."
        parts = []
        for checked in self.checked:
            if not checked.passed:
                output = capped(checked.run.output.strip(), OUTPUT_CHARACTERS)[0]
                parts.append(f"{checked.check.shown}: failed\n{output}")
        if self.status is Status.FIXED:
            names = ", ".join(self.files)
            parts.append(f"Fixed {names}: every check passes with this change.\n{self.diff}")
            parts.append(f"Look at it, then `git add {shlex.join(self.files)}` and commit again.")
        else:
            parts.append(f"Not fixed: {self.message.rstrip('.')}. Your files are as they were.")
            if self.hint:
                parts.append(f"  next: {self.hint}")
        return printable("\n".join(parts))


def diff_of(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> str:
    """A unified diff of the files in `after`."""
    lines: list[str] = []
    for path in sorted(after):
        old, new = (
            side.get(path, b"").decode("utf-8", "replace").splitlines(keepends=True)
            for side in (before, after)
        )
        lines.extend(
            line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
            for line in difflib.unified_diff(old, new, f"a/{path}", f"b/{path}")
        )
    return "".join(lines)
