"""Unit vectors: by the loop, of both precisions, zeros among them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from shapecnn.shared.similarity import unit

NUMBERS = st.floats(-1e9, 1e9).map(lambda value: round(value, 3))


@given(arrays(np.float64, array_shapes(min_dims=1, max_dims=3), elements=NUMBERS))
def test_each_vector_is_divided_by_its_length(vectors: np.ndarray) -> None:
    found = unit(vectors)
    assert found.shape == vectors.shape
    rows, divisions = (each.reshape(-1, vectors.shape[-1]).tolist() for each in (vectors, found))
    for row, divided in zip(rows, divisions, strict=True):
        length = math.sqrt(sum(v * v for v in row)) or 1.0
        assert divided == pytest.approx([v / length for v in row], abs=1e-12)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_precision_stays(kind: type) -> None:
    assert unit(np.ones((2, 3), kind)).dtype == kind
    assert unit(np.zeros((2, 3), kind)).dtype == kind
