"""Probabilities against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from shapecnn.models.calibration import probabilities


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("temperature", [0.37, 1.0, 12.1])
def test_probabilities_are_the_softmax_of_scipy_to_the_last_bit(dtype: type, temperature: float) -> None:
    logits = (np.random.default_rng(0).normal(size=(50, 12, 10)) * 8).astype(dtype)
    expected = softmax(logits.astype(np.float64) / temperature, axis=-1)
    assert np.array_equal(probabilities(logits, temperature), expected)
