"""What attempts do that try many edits: in bulk, then the promising ones properly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import unified_diff

from agent.agreement import Candidate, agreed, candidates, distinct
from agent.attempt import Attempt
from agent.choice import choose
from agent.context.evidence import Evidence
from policies.experience.events import Acted, Observed, Screened
from tools.base import ToolError
from tools.codemap import parse
from tools.repairs.edit import Edit
from tools.splice import check_syntax
from tools.testing.screen import Screening, screen

SMALL_EDIT = "small_edit"
WANTED = 8
LEAST_GRACE = 5.0
CONFIRMED = 4
MARGIN_SECONDS = 2.0
FACTOR = 4


@dataclass
class Trying(Attempt):
    """An attempt that tries edits of the suspects, each alone."""

    evidence: Evidence = field(kw_only=True)
    answers: dict[Edit, tuple[int, tuple[str, ...]]] = field(default_factory=dict, kw_only=True)
    """For the edits that the policy wrote, the round in which it did, and the answers that make the
    same program. Which ones do is found out here: code under test may not say so."""
    tested: set[Edit] = field(default_factory=set, kw_only=True)
    """Edits that were tested properly."""
    may_pass: Sequence[Edit] = field(default=(), kw_only=True)
    """What may be tested of the edits last tried, when one of them was found to pass."""
    start: tuple[str, Edit | None] = field(default=("", None), kw_only=True)
    """Of what those last tried are edits: a snapshot, and the edit made before each."""
    until: float = field(default=0.0, kw_only=True)
    """When the time for those is up, in the budget's seconds."""
    untold: Sequence[Edit] = field(default=(), kw_only=True)
    """Edits of those last given that may still solve the task, after some that passed in bulk did
    not: what passes in bulk keeps others from being tried."""

    def first_that_solves(
        self, edits: Sequence[Edit], base: str, seconds: float, before: Edit | None = None
    ) -> tuple[str | None, list[Edit]]:
        """The diff of an edit that solves the task, and the edits that help without solving it.

        `base` is a snapshot; all edits are of it, with the edit `before` made already where one is
        given. When nothing is found the sandbox is left so. Raises BudgetSpent.
        """
        self.budget.check()
        self.start, self.until = (base, before), self.budget.elapsed + seconds
        self.untold = ()
        result = None
        if self.workspace.command.framework == "pytest":
            result = self.screened(edits, seconds)
            self.back(base, before)
        if result is None or not result.started:
            diff = self.one_by_one(edits, base, before)
            self.may_pass = self.answered(edits) if diff and self.settings.explore else ()
            return diff, []
        late = [edits[n] for n in result.cold if n not in result.clean]
        cold = self.answered(late) if self.settings.explore else []
        found = candidates(edits, result, self.evidence.voters)
        diff = self.alone(cold, base, before) or self.accepted(found, base, before)
        if result.clean and not diff:
            known = {*result.trials, *result.broken, *result.idle, *result.void}
            known -= {*result.clean, *result.cold}
            others = (edit for n, edit in enumerate(edits) if n not in known)
            self.untold = [edit for edit in others if edit not in self.tested]
        self.may_pass = [*cold, *self.left(found)] if diff else ()
        helpful = [
            edits[n]
            for n, trial in result.trials.items()
            if trial.clean is False and trial.passed > result.base
        ]
        return diff, helpful

    def answered(self, edits: Iterable[Edit]) -> list[Edit]:
        """Those of the edits that the policy wrote."""
        return [edit for edit in edits if edit in self.answers]

    def left(self, found: Sequence[Candidate]) -> list[Edit]:
        """What to test when a refusal follows: the smallest edits of a few answers of which none
        was tested, agreed ones first. To explore, all that the policy wrote.
        """
        if self.settings.explore:
            return self.answered(option.edit for option in found)
        tested = {option.answer for option in found if option.edit in self.tested}
        apart = (option for alike in agreed(found) for option in distinct(alike))
        return [option.edit for option in apart if option.answer not in tested][:CONFIRMED]

    def others(self) -> Iterator[str]:
        """The diffs of what is left that solve the task."""
        for edit in self.may_pass:
            if edit in self.tested:
                continue
            self.budget.check()
            if self.budget.elapsed > self.until and not self.settings.explore:
                return
            if self.rivals:
                self.rivals -= 1
            diff = self.confirmed(edit, *self.start)
            if diff:
                yield diff

    def back(self, base: str, before: Edit | None = None) -> None:
        """Put the sandbox back to a snapshot, with an edit made where one is given."""
        self.sandbox.restore(base)
        if before is not None:
            self.sandbox.write(before.path, before.applied(self.sandbox.read(before.path)))

    def one_by_one(self, edits: Sequence[Edit], base: str, before: Edit | None) -> str | None:
        """Run the tests on each edit: for runners that cannot try many at once, and for tests of
        which none can be collected."""
        for edit in edits:
            if self.budget.elapsed > self.until:
                break
            self.budget.check()
            source = self.sandbox.read(edit.path)
            try:
                check_syntax(edit.path, source, edit.applied(source))
            except ToolError:
                if self.saying(edit) and self.workspace.command.framework == "pytest":
                    self.record_screening(tried=1, failed=[edit])
                continue
            diff = self.confirmed(edit, base, before)
            if diff:
                return diff
            self.back(base, before)
        return None

    def screened(self, edits: Sequence[Edit], seconds: float) -> Screening:
        """Try edits in bulk, and record what came of it."""
        probes = self.evidence.probes(self.targets)
        symbols = {edit.symbol for edit in edits}
        passing = frozenset(self.passing)
        others = {symbol: self.evidence.related(symbol, passing) for symbol in symbols}
        longest = max((self.evidence.seconds(tests) for tests in others.values()), default=0.0)
        for file in self.evidence.voters:
            self.sandbox.write(file.path, file.data)
        result = screen(
            self.sandbox,
            self.workspace.command,
            probes,
            others=others,
            voters=self.evidence.votes,
            edits=edits,
            seconds=min(seconds, self.budget.seconds_left),
            grace=max(LEAST_GRACE, self.budget.seconds_left - seconds),
            per_edit=MARGIN_SECONDS + FACTOR * (self.evidence.seconds(probes) + longest),
            patient=self.settings.explore,
            others_seconds=MARGIN_SECONDS + FACTOR * longest,
            wanted=WANTED,
        )
        self.budget.test_seconds += result.seconds
        self.record_screening(
            tried=len(result.trials),
            clean=len(result.clean),
            left_out=len(edits) - len(result.trials),
            failed=[edits[n] for n in sorted({*result.failed, *result.unfinished(probes)})],
            seconds=result.seconds,
        )
        return result

    def record_screening(
        self,
        *,
        tried: int,
        failed: Sequence[Edit],
        clean: int = 0,
        left_out: int = 0,
        seconds: float = 0.0,
    ) -> None:
        """Record what came of a trial in bulk, with the answers that certainly fail."""
        self.session.emit(
            Screened(
                tried=tried,
                clean=clean,
                left_out=left_out,
                failed=tuple(answer for edit in failed for answer in self.saying(edit)),
                seconds=seconds,
                **self.tags("test"),
            )
        )

    def accepted(
        self, found: Sequence[Candidate], base: str, before: Edit | None = None
    ) -> str | None:
        """Test edits that passed: those with which most agrees, in the order that the policy likes.

        Returns the diff of the first one that solves the task.
        """
        refuted: list[Candidate] = []
        most = len(found) if self.settings.explore else CONFIRMED
        for alike in agreed(found):
            first = distinct(alike)
            for left in (first, [option for option in alike if option not in first]):
                while left and len(refuted) < most:
                    shown = [self.shown(option.edit) for option in left]
                    sources = {o.edit.symbol: self.source(o.edit.symbol) for o in left}
                    option = left.pop(choose(self, shown, sources))
                    diff = self.confirmed(option.edit, base, before)
                    if diff:
                        out = {other.answer for other in refuted}
                        others = [other for other in found if other.answer not in out]
                        self.rivals = len(distinct(others)) - (option.answer not in out)
                        return diff
                    refuted.append(option)
                    self.round += 1
                    self.back(base, before)
        return None

    def alone(self, edits: Sequence[Edit], base: str, before: Edit | None) -> str | None:
        """Test edits properly of which the trial in bulk cannot tell that they fail.

        Returns the diff of the first one that solves the task: to explore, an answer has a reward.
        """
        for edit in edits:
            self.budget.check()
            diff = self.confirmed(edit, base, before)
            if diff:
                return diff
            self.back(base, before)
        return None

    def confirmed(self, edit: Edit, base: str, before: Edit | None) -> str | None:
        """The diff of an edit that solves the task when it is tested properly."""
        self.tested.add(edit)
        self.sandbox.restore(base)
        for change in (before, edit):
            if change is not None:
                self.make(change)
        diff = self.sandbox.diff(base)
        return diff if self.is_new(diff) and self.solved(self.test(diff)) else None

    def is_new(self, diff: str) -> bool:
        """Whether a patch can still win; to explore, what an attempt before found counts again."""
        return self.settings.explore or diff not in self.seen

    def make(self, edit: Edit) -> None:
        """Make an edit in the sandbox."""
        shown = self.shown(edit)
        self.sandbox.write(edit.path, edit.applied(self.sandbox.read(edit.path)))
        arguments = {"symbol": edit.symbol, "text": edit.text, "change": shown}
        written_in, (answer, *alike) = self.answers.get(edit, (self.round, ("",)))
        tags = {**self.tags("edit"), "round": written_in}
        acted = Acted(tool=SMALL_EDIT, arguments=arguments, answer=answer, alike=alike, **tags)
        self.session.emit(acted)
        self.session.emit(Observed(tool=SMALL_EDIT, ok=True, text=f"{edit.rule}\n{shown}", **tags))

    def saying(self, edit: Edit) -> list[tuple[int, str]]:
        """The answers of the policy that make an edit, each with its round."""
        number, answers = self.answers.get(edit, (0, ()))
        return [(number, answer) for answer in answers]

    def source(self, symbol: str) -> str:
        """The text of a definition as it stands in the sandbox."""
        path = symbol.split("::", 1)[0]
        data = self.sandbox.read(path)
        found = next((s for s in parse(path, data) if s.id == symbol), None)
        return found.text(data) if found else self.evidence.source(symbol)

    def shown(self, edit: Edit) -> str:
        """An edit as the lines of a diff that differ; added lines with those around them."""
        source = self.sandbox.read(edit.path)
        before, after = (
            text.decode("utf-8", "replace").splitlines() for text in (source, edit.applied(source))
        )
        context = int(edit.start == edit.end)
        lines = list(unified_diff(before, after, lineterm="", n=context))[2:]
        return "\n".join(line for line in lines if not line.startswith("@@"))
