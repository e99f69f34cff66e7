"""Bootstrap intervals against the distributions they resample from."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from shapecnn.evaluation import intervals
from shapecnn.evaluation.intervals import class_mean_interval, mean_interval


def test_of_an_accuracy_it_is_the_binomial() -> None:
    """Drawing shapes anew makes the number of right ones binomial."""
    low, high = mean_interval(np.repeat([1.0, 0.0], [150, 50]))
    expected = stats.binom(200, 0.75).ppf([0.025, 0.975]) / 200
    assert (low, high) == pytest.approx(expected, abs=1.5 / 200)  # the quantiles may be a shape off


def test_of_a_mean_it_is_the_naive_loop() -> None:
    values = np.random.default_rng(1).beta(2, 1, 40)
    generator = np.random.default_rng(2)
    means = [generator.choice(values, len(values)).mean() for _ in range(5000)]
    assert mean_interval(values) == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=0.01)


@pytest.mark.parametrize("count", [2, 31, 2468])
def test_of_a_mean_it_is_the_bootstrap_of_scipy(count: int) -> None:
    """The same seed draws the same resamples."""
    values = np.random.default_rng(count).beta(5, 1, count)
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=10_000, method="percentile", batch=400, rng=np.random.default_rng(7)
    ).confidence_interval
    assert mean_interval(values, 7) == pytest.approx(tuple(expected), rel=1e-14)


def test_of_a_single_shape_it_is_its_value() -> None:
    assert mean_interval(np.array([0.5])) == (0.5, 0.5)


def test_of_a_class_mean_it_is_the_naive_loop_within_classes() -> None:
    right, counts = np.array([9, 3, 30]), np.array([10, 5, 60])
    classes = [np.repeat([1.0, 0.0], [r, n - r]) for r, n in zip(right, counts, strict=True)]
    generator = np.random.default_rng(2)
    means = [np.mean([generator.choice(c, len(c)).mean() for c in classes]) for _ in range(5000)]
    assert class_mean_interval(right, counts) == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=0.02)


@pytest.mark.parametrize("value", [0.0, 0.25, 1.0])
def test_what_is_the_same_for_all_shapes_does_not_move(value: float) -> None:
    assert mean_interval(np.full(7, value)) == (value, value)
    assert class_mean_interval(np.array([0, 3]), np.array([4, 3])) == (0.5, 0.5)


def test_the_seed_decides_and_blocks_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random(31)
    interval = mean_interval(values, 5)
    assert mean_interval(values, 5) == interval
    assert mean_interval(values, 6) != interval
    right, counts = np.array([2, 3]), np.array([4, 7])
    assert class_mean_interval(right, counts, 5) == class_mean_interval(right, counts, 5)
    monkeypatch.setattr(intervals, "_BLOCK", 1)
    monkeypatch.setattr(intervals, "RESAMPLES", 100)
    by_one = mean_interval(values, 5)
    monkeypatch.setattr(intervals, "_BLOCK", 31 * 7)
    assert mean_interval(values, 5) == by_one
