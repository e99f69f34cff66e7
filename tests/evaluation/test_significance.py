"""Tests of significance against scipy, against all there is to draw, and by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from shapecnn.evaluation.significance import FLIPS, holm, mcnemar, sign_flips

P = st.floats(0, 1)


def told(*counts: int) -> tuple[np.ndarray, np.ndarray]:
    """Which shapes are right, of so many that both, the first, the second and neither tell right."""
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


def test_mcnemar_by_hand() -> None:
    # Of five shapes that one alone tells right all are the first's: by chance in 1 of 2⁵ cases, and so many either way.
    assert mcnemar(*told(3, 5, 0, 2)) == 2 / 32
    # Four to one: at most one of five on the lesser side, (1 + 5) / 32, either way.
    assert mcnemar(*told(0, 4, 1, 0)) == 12 / 32
    assert mcnemar(*told(7, 0, 0, 7)) == 1
    assert mcnemar(*told(0, 3, 3, 0)) == 1


@given(*[st.integers(0, 60)] * 4)
def test_mcnemar_is_the_same_either_way(both: int, first: int, second: int, neither: int) -> None:
    assert mcnemar(*told(both, second, first, neither)) == mcnemar(*told(both, first, second, neither))


@given(*[st.integers(0, 2000)] * 2)
def test_mcnemar_counts_the_ways(first: int, second: int) -> None:
    """In whole numbers: of choosing as few of the trials as the lesser side has, on either side."""
    trials = first + second
    ways = sum(math.comb(trials, k) for k in range(min(first, second) + 1))
    expected = min(1.0, 2 * ways / (1 << trials))
    assert mcnemar(*told(0, first, second, 0)) == pytest.approx(expected, rel=1e-12, abs=1e-300)


@pytest.mark.parametrize("shift", [0.0, 0.2, 0.5])
def test_sign_flips_come_near_to_all_there_are(shift: float) -> None:
    differences = np.random.default_rng(3).normal(shift, 0.5, 10)
    means = [np.dot(signs, differences) for signs in itertools.product((1, -1), repeat=10)]
    expected = np.mean(np.abs(means) >= abs(differences.sum()) - 1e-12)
    assert sign_flips(differences) == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / FLIPS) + 1e-4)


def test_sign_flips_are_the_permutation_test_of_scipy() -> None:
    """Which goes through all 2¹² of few signs, and draws others of more."""
    generator = np.random.default_rng(4)
    for count, tolerance in ((12, 0.0), (300, 4 * np.sqrt(0.25 / FLIPS))):
        differences = generator.normal(0.1 / np.sqrt(count), 0.3, count)
        expected = stats.permutation_test(
            (differences,), np.mean, permutation_type="samples", n_resamples=FLIPS, rng=np.random.default_rng(5)
        ).pvalue
        assert sign_flips(differences) == pytest.approx(
            expected, abs=tolerance + 4 * np.sqrt(expected * (1 - expected) / FLIPS) + 1e-4
        )


def test_what_does_not_differ_is_never_significant_and_what_does_clearly_is() -> None:
    assert sign_flips(np.zeros(20)) == 1
    assert sign_flips(np.full(3, 0.1)) == pytest.approx(2 / 8, abs=0.02)  # all signs alike, either way
    assert sign_flips(np.full(40, 0.1)) == 1 / (FLIPS + 1)
    differences = np.random.default_rng(0).normal(0.1, 0.5, 30)
    assert sign_flips(differences) == sign_flips(-differences) == sign_flips(differences, 0)
    assert sign_flips(differences) != sign_flips(differences, 1)


def test_by_chance_p_is_below_alpha_in_that_share_of_cases() -> None:
    generator = np.random.default_rng(1)
    found = [sign_flips(generator.normal(0, 1, 25), seed) for seed in range(300)]
    assert np.mean(np.array(found) <= 0.1) == pytest.approx(0.1, abs=0.05)


def test_holm_by_hand() -> None:
    # 0.01 by 3; 0.03 by 2; 0.04 by 1, but never less than what is before it.
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.5]) == [1, 1]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


@given(st.lists(P, min_size=1, max_size=8), st.floats(0.01, 0.5))
def test_holm_rejects_what_its_steps_reject(values: list[float], alpha: float) -> None:
    """Going up from the smallest, the k-th of m is rejected while it is at most α / (m - k + 1)."""
    rejected = []
    for k, i in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        if values[i] * (len(values) - k) > alpha:
            break
        rejected.append(i)
    raised = holm(values)
    assert sorted(i for i, p in enumerate(raised) if p <= alpha) == sorted(rejected)
    assert all(before <= after <= 1 for before, after in zip(values, raised, strict=True))
