"""The statistics of an evaluation: pass@k, intervals of proportions, a test for paired runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist


def pass_at_k(n: int, c: int, k: int) -> float:
    """The chance that at least one of k samples is right, when c of n samples were.

    The unbiased estimator 1 - C(n-c, k) / C(n, k) of Chen et al. (2021, arXiv:2107.03374), in
    whole numbers up to one division. Raises ValueError unless 0 <= c <= n and 1 <= k <= n.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"pass@k needs 0 <= c <= n and 1 <= k <= n, not n={n}, c={c}, k={k}")
    subsets = math.comb(n, k)
    return (subsets - math.comb(n - c, k)) / subsets


def wilson(successes: float, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """The score interval of a proportion (Wilson, 1927), as (low, high); (0, 1) of no trials.

    `successes` may be the sum of one value in [0, 1] per trial: such a mean p varies by at most
    p(1 - p), so that the interval is then too wide rather than too narrow. Raises ValueError
    unless 0 <= successes <= trials and 0 < confidence < 1.
    """
    if not (0 <= successes <= trials and 0 < confidence < 1):
        raise ValueError(
            "an interval needs 0 <= successes <= trials and 0 < confidence < 1, not "
            f"successes={successes}, trials={trials}, confidence={confidence}"
        )
    if trials == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    rate, spread = successes / trials, z * z / trials
    centre = rate + spread / 2
    half = z * math.sqrt(rate * (1 - rate) / trials + spread / (4 * trials))
    low = 0.0 if successes == 0 else max(0.0, (centre - half) / (1 + spread))
    high = 1.0 if successes == trials else min(1.0, (centre + half) / (1 + spread))
    return low, high


@dataclass(frozen=True)
class PowerLaw:
    """Coverage c(k) = exp(a·k^b) of k samples, with a and b below 0.

    The form of Brown et al., "Large Language Monkeys" (2024, arXiv:2407.21787, section 3.2).
    """

    a: float
    b: float

    def at(self, k: float) -> float:
        """The coverage of k samples, between 0 and 1."""
        return math.exp(self.a * k**self.b)


def power_law(coverage: Mapping[int, float]) -> PowerLaw | None:
    """The power law through coverages by number of samples, k from 1.

    Least squares of log(−log c) = log(−a) + b·log k, over the points with 0 < c < 1; None when
    fewer than two are left.
    """
    points = [(math.log(k), math.log(-math.log(c))) for k, c in coverage.items() if 0 < c < 1]
    if len(points) < 2:
        return None
    mean_x, mean_y = (math.fsum(values) / len(points) for values in zip(*points, strict=True))
    spread = math.fsum((x - mean_x) ** 2 for x, _ in points)
    b = math.fsum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    return PowerLaw(-math.exp(mean_y - b * mean_x), b)


@dataclass(frozen=True)
class Paired:
    """How two runs did on the tasks that both had; `p_value` is two-sided."""

    both: int
    only_first: int
    only_second: int
    neither: int
    p_value: float

    @property
    def tasks(self) -> int:
        """The number of tasks that both runs had."""
        return self.both + self.only_first + self.only_second + self.neither


def paired(a: Mapping[str, bool], b: Mapping[str, bool]) -> Paired:
    """Compare two runs on their common tasks, given by task whether it was solved.

    The exact test of McNemar (1947): the tasks that one run alone solved fall to either side like
    a fair coin if neither run is better. Raises ValueError when they have no task in common.
    """
    common = a.keys() & b.keys()
    if not common:
        raise ValueError("the two runs have no task in common")
    both = sum(a[task] and b[task] for task in common)
    first = sum(a[task] and not b[task] for task in common)
    second = sum(b[task] and not a[task] for task in common)
    unequal = first + second
    tail = sum(math.comb(unequal, i) for i in range(min(first, second) + 1))
    p_value = min(1.0, 2 * tail / 2**unequal)
    return Paired(both, first, second, len(common) - both - unequal, p_value)
