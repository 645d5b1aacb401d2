"""Which task is sampled next: one that is solved about half the time teaches most.

A relative baseline learns nothing from a task that is always solved or never. Every task is sampled
a few times first; what is left of the budget goes where it is expected to teach most, by the
variance of the reward under what is known of the task's pass rate.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

FIRST = 4


@dataclass(frozen=True)
class Draw:
    """A batch of a task's samples: its number among the task's batches, and how many."""

    instance_id: str
    batch: int
    samples: int


@dataclass
class Tally:
    """What is known of a task: samples drawn or being drawn, how many of them (or of their answers)
    were scored, and how many solved it."""

    batches: int = 0
    drawn: int = 0
    scored: int = 0
    solved: int = 0

    @property
    def worth(self) -> float:
        """The variance of a sample's reward that is expected, for each sample drawn already.

        With a uniform prior the pass rate p is Beta(a, b) distributed, and E[p(1 − p)] =
        ab / ((a + b)(a + b + 1)) (Gelman et al., Bayesian Data Analysis, section 2.4).
        """
        a, b = 1 + self.solved, 1 + self.scored - self.solved
        return a * b / ((a + b) * (a + b + 1)) / max(1, self.drawn)


class Schedule:
    """Draws of `samples` a task on average, spread by worth. Threads may share one.

    When it is `even`, each task has one draw of all its samples: rates are measured so.
    """

    def __init__(self, tasks: Sequence[str], samples: int, *, even: bool = False) -> None:
        self.even = even
        self.tallies = {task: Tally() for task in tasks}
        self.left = len(self.tallies) * samples
        self.size = samples if even else min(FIRST, samples)
        self.given_up: set[str] = set()
        self._lock = threading.Lock()

    def resume(self, done: Iterable[tuple[Draw, Sequence[bool]]]) -> None:
        """Take up what was drawn before, with whether each scored sample was solved."""
        for draw, solved in done:
            if draw.instance_id in self.tallies:
                self._begin(draw)
                self.record(draw, solved)

    def next(self) -> Draw | None:
        """What to draw next; None when the budget is spent, or no task is left.

        A task that was not drawn yet comes first, even when others have spent the budget.
        """
        with self._lock:
            open_tasks = [task for task in self.tallies if task not in self.given_up]
            new = [task for task in open_tasks if not self.tallies[task].drawn]
            if not open_tasks or (not new and (self.even or self.left <= 0)):
                return None
            task = new[0] if new else max(open_tasks, key=lambda task: self.tallies[task].worth)
            draw = Draw(task, self.tallies[task].batches, self.size)
            self._begin(draw)
            return draw

    def record(self, draw: Draw, solved: Sequence[bool]) -> None:
        """What came of a draw: of each scored sample, whether it was solved."""
        with self._lock:
            tally = self.tallies[draw.instance_id]
            tally.scored += len(solved)
            tally.solved += sum(solved)

    def give_up(self, draw: Draw) -> None:
        """Sample a task no more, as its environment fails; its samples go to others."""
        with self._lock:
            self.given_up.add(draw.instance_id)
            self.left += draw.samples

    def _begin(self, draw: Draw) -> None:
        tally = self.tallies[draw.instance_id]
        tally.batches = max(tally.batches, draw.batch + 1)
        tally.drawn += draw.samples
        self.left -= draw.samples
