"""Lists of similar vectors: every vector is in the list of its nearest centre, and the division never changes."""

from __future__ import annotations

import itertools

import numpy as np

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
