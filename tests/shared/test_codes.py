"""Codes of vectors: inner products without bias, of the error that theory says, and the same for ever."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from shapecnn.shared.codes import _rotated, code_size, encode, inner_products, query_table
from shapecnn.shared.similarity import unit


@pytest.mark.parametrize("size", [3, 64, 100, 512, 1280])
def test_inner_products_are_estimated_without_bias(size: int) -> None:
    random = np.random.default_rng(size)
    vectors = unit(np.abs(random.normal(size=(2000, size))).astype(np.float32))
    query = unit(np.abs(random.normal(size=size)).astype(np.float32))
    codes, factors = encode(vectors)
    assert (codes.shape, codes.dtype, factors.dtype) == ((2000, code_size(size)), np.uint8, np.float16)
    errors = inner_products(codes, factors, query_table(query)) - vectors @ query
    assert errors.std() < 0.5 / size**0.5
    assert abs(errors.mean()) < (0.1 if size < 64 else 0.3 / size**0.5)


def test_a_rotation_keeps_lengths_and_spreads_a_single_number() -> None:
    single = np.zeros(1280, np.float32)
    single[7] = 1
    rotated = _rotated(single)
    assert np.linalg.norm(rotated) == pytest.approx(1, abs=1e-5)
    assert np.abs(rotated).max() < 6 / 1280**0.5
    vectors = np.random.default_rng(0).normal(size=(5, 100)).astype(np.float32)
    assert _rotated(vectors) @ _rotated(vectors).T == pytest.approx(vectors @ vectors.T, abs=1e-4)


def test_codes_of_today_can_be_read_for_ever() -> None:
    vectors = np.sin(np.arange(2 * 1280)).reshape(2, 1280).astype(np.float32)
    codes, _ = encode(unit(vectors))
    assert hashlib.sha256(codes.tobytes()).hexdigest()[:12] == "e937cf49ba23"


def test_a_zero_vector_is_similar_to_nothing() -> None:
    codes, factors = encode(np.zeros((1, 64), np.float32))
    assert inner_products(codes, factors, query_table(np.ones(64, np.float32))).tolist() == [0]


def test_equal_vectors_have_equal_codes_wherever_they_stand() -> None:
    vectors = unit(np.random.default_rng(3).normal(size=(30, 4, 96)).astype(np.float32))
    codes, factors = encode(vectors)
    for row in range(30):
        alone, factor = encode(vectors[row])
        assert np.array_equal(alone, codes[row])
        assert np.array_equal(factor, factors[row])
