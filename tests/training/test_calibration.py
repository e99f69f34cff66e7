"""Temperatures against scikit-learn's optimum and known truths; thresholds by counting."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from shapecnn.evaluation.classification import calibration_error
from shapecnn.models.calibration import probabilities
from shapecnn.training.calibration import calibrate, fit_temperature, rejection_threshold


def drawn(count: int, temperature: float, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Logits and labels that follow their softmax at ``temperature``."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(count, 6)) * 3
    chances = np.exp(logits / temperature)
    chances /= chances.sum(axis=1, keepdims=True)
    labels = (chances.cumsum(axis=1) < random.random((count, 1))).sum(axis=1)
    return logits, labels.astype(np.int64)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.0, 5.0])
def test_the_temperature_that_drew_the_labels_is_found(temperature: float) -> None:
    assert fit_temperature(*drawn(20_000, temperature)) == pytest.approx(temperature, rel=0.05)


@given(st.integers(0, 10**6), st.integers(1, 40), st.floats(0.2, 20))
def test_no_other_temperature_has_a_lower_cross_entropy(seed: int, count: int, temperature: float) -> None:
    """Naively: a shape after the other, and one further that is of each class in part."""
    logits, labels = drawn(count, temperature, seed)

    def loss(log_temperature: float) -> float:
        total = further = 0.0
        for row, label in zip(logits / math.exp(log_temperature), labels, strict=True):
            log_sum = math.log(sum(math.exp(value - max(row)) for value in row)) + max(row)
            total += log_sum - row[label]
            further += sum(log_sum - value for value in row) / len(row) / count
        return total + further

    best = minimize_scalar(loss, bounds=[math.log(1e-3), math.log(1e3)], method="bounded", options={"xatol": 1e-9})
    assert loss(math.log(fit_temperature(logits, labels))) <= best.fun + 1e-6


def test_labels_that_are_all_told_right_do_not_make_it_infinitely_sure() -> None:
    logits = np.eye(3)[np.arange(30) % 3]
    temperature = fit_temperature(logits, np.arange(30) % 3)
    score = probabilities(logits[0], temperature)[0]
    assert score == pytest.approx(1 - 1 / 31 * 2 / 3)  # the further shape is of another class with 2/3


def test_labels_against_the_logits_ask_for_the_hottest() -> None:
    logits = np.eye(3)[np.arange(30) % 3]
    assert fit_temperature(logits, (np.arange(30) + 1) % 3) == 1e3
    assert fit_temperature(1e-6 * logits, np.arange(30) % 3) == 1e-3


def test_ten_times_the_logits_are_ten_times_the_temperature() -> None:
    logits, labels = drawn(100, 1.0)
    assert fit_temperature(10 * logits, labels) == pytest.approx(10 * fit_temperature(logits, labels))


def test_logits_far_too_sure_are_put_right() -> None:
    logits, labels = drawn(2000, 1.0)
    found = calibrate(100 * logits, labels, np.arange(2000.0))
    assert found is not None
    assert found.temperature == pytest.approx(100, rel=0.1)
    assert found.ece_before > 0.2 > 0.03 > found.ece
    assert found.loss_before > 10 * found.loss
    scores = probabilities(100 * logits)
    assert found.ece_before == calibration_error(scores.argmax(axis=1) == labels, scores.max(axis=1))


def test_what_is_told_is_cross_fitted() -> None:
    """A shape by which the temperature would rise is measured without it."""
    logits = np.array([[4.0, 0.0]] * 20)
    labels = np.zeros(20, np.int64)
    labels[3] = 1
    found = calibrate(logits, labels, np.zeros(20))
    assert found is not None
    expected, temperatures = [], []
    for row in range(20):
        others = [other for other in range(20) if other % 5 != row % 5]
        temperatures.append(fit_temperature(logits[others], labels[others]))
        expected.append(-math.log(probabilities(logits[row], temperatures[-1])[labels[row]]))
    assert found.loss == pytest.approx(np.mean(expected))
    assert temperatures[3] < found.temperature < temperatures[0]


@given(st.lists(st.floats(-1, 1), min_size=19, max_size=200))
def test_at_most_one_in_twenty_is_rejected(values: list[float]) -> None:
    familiarity = np.array(values)
    threshold = rejection_threshold(familiarity)
    assert (familiarity < threshold).mean() <= 0.05
    rank = next(k for k in range(1, len(values) + 1) if (k + 1) / (len(values) + 1) > 0.05)
    assert threshold == sorted(values)[rank - 1]


def test_new_shapes_are_rejected_as_rarely() -> None:
    """On average over many draws of 142 held out, which is what split conformal prediction promises."""
    random = np.random.default_rng(0)
    rejected = [(random.normal(size=500) < rejection_threshold(random.normal(size=142))).mean() for _ in range(2000)]
    assert 0.045 < np.mean(rejected) < 0.05


def test_few_shapes_tell_nothing() -> None:
    logits, labels = drawn(20, 1.0)
    assert calibrate(logits, labels, np.arange(20.0)) is not None
    assert calibrate(logits[1:], labels[1:], np.arange(19.0)) is None
