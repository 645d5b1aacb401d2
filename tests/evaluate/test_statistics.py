"""pass@k by counting subsets, intervals and p-values by hand and by publication."""

from itertools import combinations
from math import comb, isclose

import pytest

from agent.evaluate.statistics import Paired, PowerLaw, paired, pass_at_k, power_law, wilson


@pytest.mark.parametrize("n", range(1, 8))
def test_pass_at_k_is_the_share_of_subsets_that_hold_a_right_sample(n):
    for c in range(n + 1):
        right = [True] * c + [False] * (n - c)
        for k in range(1, n + 1):
            subsets = list(combinations(right, k))
            assert isclose(pass_at_k(n, c, k), sum(map(any, subsets)) / len(subsets))


def test_pass_at_k_by_hand():
    assert pass_at_k(4, 1, 2) == 0.5
    assert pass_at_k(10, 3, 1) == 0.3
    assert isclose(pass_at_k(5, 2, 3), 1 - 1 / comb(5, 3))


def test_pass_at_k_keeps_its_digits_with_many_samples():
    assert isclose(pass_at_k(10_000, 1, 1), 1e-4, rel_tol=1e-15)
    assert isclose(pass_at_k(10_000, 1, 5_000), 0.5, rel_tol=1e-15)
    assert pass_at_k(10_000, 10_000, 10_000) == 1.0
    assert pass_at_k(10_000, 0, 10_000) == 0.0


@pytest.mark.parametrize(("n", "c", "k"), [(4, 5, 1), (4, -1, 1), (4, 1, 0), (4, 1, 5), (0, 0, 1)])
def test_pass_at_k_rejects_nonsense(n, c, k):
    with pytest.raises(ValueError, match=f"n={n}, c={c}, k={k}"):
        pass_at_k(n, c, k)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (0, 20, 0.0, 0.1611),
        (10, 20, 0.2993, 0.7007),
        (20, 20, 0.8389, 1.0),
        # Newcombe (1998), Statistics in Medicine 17, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_agrees_with_published_intervals(successes, trials, low, high):
    assert wilson(successes, trials) == (
        pytest.approx(low, abs=5e-5),
        pytest.approx(high, abs=5e-5),
    )


def test_wilson_takes_means_and_other_confidences():
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 20)[0] == 0.0
    assert wilson(20, 20)[1] == 1.0
    low, high = wilson(2.5, 10)
    assert wilson(2, 10)[0] < low < 0.25 < high < wilson(3, 10)[1]
    narrow = wilson(10, 20, confidence=0.5)
    assert wilson(10, 20)[0] < narrow[0] < 0.5 < narrow[1] < wilson(10, 20)[1]


@pytest.mark.parametrize(
    ("successes", "trials", "confidence"),
    [(3, 2, 0.95), (-1, 2, 0.95), (0, -1, 0.95), (float("nan"), 2, 0.95), (1, 2, 0.0), (1, 2, 1.0)],
)
def test_wilson_rejects_nonsense(successes, trials, confidence):
    with pytest.raises(ValueError, match="an interval needs"):
        wilson(successes, trials, confidence)


def runs(both, first, second, neither):
    """Two runs with so many tasks of each kind, and one task each that the other lacks."""
    kinds = [(True, True)] * both + [(True, False)] * first
    kinds += [(False, True)] * second + [(False, False)] * neither
    a = {f"t{number}": kind[0] for number, kind in enumerate(kinds)}
    b = {f"t{number}": kind[1] for number, kind in enumerate(kinds)}
    return a | {"only-a": True}, b | {"only-b": True}


@pytest.mark.parametrize(
    ("first", "second", "p_value"),
    [
        (0, 0, 1.0),
        (1, 1, 1.0),
        (0, 5, 2 / 32),
        (6, 0, 2 / 64),
        (1, 7, 2 * 9 / 256),
        (2, 8, 112 / 1024),
    ],
)
def test_mcnemar_counts_common_tasks_and_is_exact(first, second, p_value):
    a, b = runs(3, first, second, 4)
    result = paired(a, b)
    assert result == Paired(3, first, second, 4, pytest.approx(p_value, rel=1e-12))
    assert result.tasks == 7 + first + second
    assert paired(b, a).p_value == result.p_value


def test_mcnemar_of_large_runs_does_not_overflow():
    assert 0 < paired(*runs(0, 900, 1100, 0)).p_value < 1e-5


def test_mcnemar_needs_common_tasks():
    with pytest.raises(ValueError, match="no task in common"):
        paired({"a": True}, {"b": True})


def test_a_power_law_is_found_again():
    law = PowerLaw(-2.0, -0.5)
    found = power_law({k: law.at(k) for k in (1, 2, 4, 8, 16)})
    assert isclose(found.a, -2.0)
    assert isclose(found.b, -0.5)
    assert isclose(found.at(32), law.at(32))


def test_points_at_the_ends_say_nothing_of_a_power_law():
    assert power_law({1: 0.0, 2: 0.5, 3: 1.0}) is None
    assert power_law({1: 0.0, 2: 0.25, 4: 0.5, 8: 1.0}).at(4) == pytest.approx(0.5)
