"""Running lists of the strongest activations equal those of all activations at once."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shapecnn.filters.strongest import Strongest, strongest_place

FEW = st.sampled_from([-2.0, 0.0, 0.5, 1.0, 3.0])  # few values, so that many are equal


@given(
    st.tuples(st.integers(1, 9), st.integers(1, 4)).flatmap(lambda shape: arrays(np.float32, shape, elements=FEW)),
    st.integers(1, 5),
)
def test_the_running_list_is_the_sorted_list(values: np.ndarray, top: int) -> None:
    shapes, count = values.shape
    strongest = Strongest(count, top)
    for shape in range(shapes):
        marks = np.arange(count) + 100 * shape
        strongest.add(shape, values[shape], marks, marks + 7)
    kept = min(top, shapes)
    order = np.argsort(-values, axis=0, kind="stable")[:top].T  # equal activations: the first shape first
    assert np.array_equal(strongest.shapes[:, :kept], order)
    assert np.array_equal(strongest.activations[:, :kept], np.take_along_axis(values.T, order, axis=1))
    assert (strongest.activations[:, kept:] == -np.inf).all()
    assert np.array_equal(strongest.views[:, :kept], order * 100 + np.arange(count)[:, None])
    assert np.array_equal(strongest.positions[:, :kept], strongest.views[:, :kept] + 7)


@given(st.integers(1, 3).flatmap(lambda views: arrays(np.float32, (views, 2, 3, 4), elements=FEW)))
def test_the_first_of_equal_places_is_chosen(values: np.ndarray) -> None:
    for outputs in (torch.from_numpy(values), torch.from_numpy(values).contiguous(memory_format=torch.channels_last)):
        activation, view, position = (each.numpy() for each in strongest_place(outputs))
        for number in range(2):
            flat = values[:, number].reshape(-1)
            assert activation[number] == flat.max()
            assert view[number] * 12 + position[number] == flat.argmax()


def test_a_unit_without_a_map_has_one_position() -> None:
    activation, view, position = strongest_place(torch.tensor([[1.0, 5.0], [2.0, 4.0]]))
    assert (activation.tolist(), view.tolist(), position.tolist()) == ([2, 5], [1, 0], [0, 0])


def test_memory_does_not_grow_with_the_number_of_shapes() -> None:
    strongest = Strongest(3, 2)
    before = strongest.activations.nbytes, strongest.shapes.nbytes
    for shape in range(500):
        strongest.add(shape, np.full(3, shape % 7, np.float32), np.zeros(3, np.int64), np.zeros(3, np.int64))
    assert (strongest.activations.nbytes, strongest.shapes.nbytes) == before
    assert strongest.shapes.tolist() == [[6, 13]] * 3
