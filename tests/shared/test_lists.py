"""Lists of similar vectors: every vector is in the list of its nearest centre, and the division never changes."""

from __future__ import annotations

import itertools

import numpy as np
from threadpoolctl import threadpool_limits

from shapecnn.shared.lists import Lists
from shapecnn.shared.similarity import unit


def test_each_vector_is_in_the_list_of_its_nearest_centre() -> None:
    vectors = unit(np.random.default_rng(0).normal(size=(500, 8)).astype(np.float32))
    lists = Lists.train(vectors, 12)
    members, starts = lists.divide(vectors)
    assert (len(lists), starts[0], starts[-1]) == (12, 0, 500)
    assert sorted(members.tolist()) == list(range(500))
    nearest = (vectors @ lists.centres.T).argmax(axis=1)
    for number in range(12):
        own = members[starts[number] : starts[number + 1]]
        assert np.array_equal(own, np.flatnonzero(nearest == number))
    assert np.array_equal(Lists.train(vectors, 12).centres, lists.centres)


def test_rounding_does_not_decide_the_list_of_a_vector() -> None:
    """The sums of float32 are rounded differently with another number of cores: here each list has a near twin."""
    random = np.random.default_rng(2)
    centres = unit(np.repeat(random.normal(size=(40, 64)), 2, axis=0))
    centres = unit((centres + 3e-8 * random.normal(size=centres.shape)).astype(np.float32))
    vectors = unit(random.normal(size=(500, 64)).astype(np.float32))
    exact = vectors.astype(np.float64) @ centres.T.astype(np.float64)
    lists = Lists(centres)
    assert np.array_equal(lists.nearest(vectors)[:, 0], exact.argmax(axis=1))
    assert np.array_equal(np.sort(lists.nearest(vectors, 3)), np.sort(np.argsort(-exact, axis=1, kind="stable")[:, :3]))


def test_the_number_of_cores_has_no_effect() -> None:
    random = np.random.default_rng(4)
    shapes = np.maximum(random.normal(size=(60, 256)), 0)  # many near copies of few
    vectors = unit((shapes[random.integers(60, size=4001)] + 1e-6 * random.random((4001, 256))).astype(np.float32))
    made = []
    for cores in (1, 2):
        with threadpool_limits(cores):
            lists = Lists.train(vectors, 60)
            made.append((lists.centres, *lists.divide(vectors)))
    for one, two in zip(*made, strict=True):
        assert np.array_equal(one, two)


def test_training_finds_groups_that_are_there() -> None:
    random = np.random.default_rng(1)
    centres = np.eye(6, dtype=np.float32)
    vectors = unit(np.repeat(centres, 100, axis=0) + 0.05 * random.normal(size=(600, 6)).astype(np.float32))
    members, starts = Lists.train(vectors, 24).divide(vectors)
    groups = np.repeat(np.arange(6), 100)
    assert all(len({*groups[members[a:b]]}) <= 1 for a, b in itertools.pairwise(starts))


def test_there_are_no_more_lists_than_vectors() -> None:
    vectors = np.eye(3, dtype=np.float32)
    lists = Lists.train(vectors)
    assert len(lists) == 3
    assert sorted(lists.nearest(vectors, 5)[0].tolist()) == [0, 1, 2]
