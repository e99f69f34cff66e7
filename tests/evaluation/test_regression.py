"""R² and errors: scikit-learn as an oracle, and intervals that hold what they should."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from shapecnn.evaluation.regression import errors, regress

NUMBERS = st.floats(-100, 100).map(lambda value: round(value, 3))


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=30))
def test_scikit_learn_computes_the_same(pairs: list[tuple[float, float]]) -> None:
    values, predictions = np.array(pairs).T
    found = errors(values, predictions)
    assert pytest.approx(root_mean_squared_error(values, predictions)) == found.RMSE
    assert pytest.approx(mean_absolute_error(values, predictions)) == found.MAE
    if np.ptp(values) > 0:
        assert pytest.approx(r2_score(values, predictions), rel=1e-6, abs=1e-6) == found.R2


def test_right_mean_and_worse() -> None:
    values = np.array([1.0, 2.0, 3.0, 6.0])
    assert errors(values, values) == (1.0, 0.0, 0.0)
    assert errors(values, np.full(4, 3.0)).R2 == 0.0
    assert (errors(values, -values).R2 or 0) < 0
    assert errors(np.ones(3), np.zeros(3)) == (None, 1.0, 1.0)


def test_intervals_hold_the_results_and_shrink_with_more_shapes() -> None:
    random = np.random.default_rng(0)
    widths = []
    for count in (50, 5000):
        values = random.normal(size=count)
        result = regress("area", values, values + 0.5 * random.normal(size=count))
        for name, value in (("R2", result.R2), ("RMSE", result.RMSE), ("MAE", result.MAE)):
            interval = result.intervals[name]
            assert interval is not None
            assert value is not None
            assert interval[0] < value < interval[1]
        low, high = result.intervals["R2"] or (0, 0)
        widths.append(high - low)
    assert widths[1] < widths[0] / 5
    assert pytest.approx(0.75, abs=0.03) == result.R2


def test_intervals_are_those_of_resamples() -> None:
    random = np.random.default_rng(1)
    values = random.gamma(2, size=12)
    predictions = values + random.normal(size=12)
    drawn = random.integers(0, 12, (4000, 12))
    for name, measure in (("R2", r2_score), ("RMSE", root_mean_squared_error), ("MAE", mean_absolute_error)):
        resampled = measure(values[drawn].T, predictions[drawn].T, multioutput="raw_values")
        found = regress("volume", values, predictions, seed=3).intervals[name]
        spread = np.std(resampled)
        assert found == pytest.approx(tuple(np.percentile(resampled, [2.5, 97.5])), abs=0.25 * spread)


def test_equal_values_have_errors_but_no_r_squared() -> None:
    result = regress("area", np.ones(4), np.array([1.0, 2.0, 1.0, 0.0]), left_out=3)
    assert (result.count, result.left_out, result.R2, result.intervals["R2"]) == (4, 3, None, None)
    assert (result.intervals["RMSE"] or (0, 0))[1] > result.MAE
    single = regress("area", np.array([2.0]), np.array([3.0]))
    assert (single.R2, single.RMSE, single.intervals["MAE"]) == (None, 1.0, (1.0, 1.0))
