"""Alignments of light fields: the group of the dodecahedron, and the distance against its definition in plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from shapecnn.descriptors.alignment import alignments, dodecahedron_rotations, light_field_distances
from shapecnn.views.cameras import dodecahedron


def test_sixty_rotations_map_the_dodecahedron_onto_itself() -> None:
    rotations, vertices = dodecahedron_rotations(), dodecahedron()
    assert rotations.shape == (60, 3, 3)
    np.testing.assert_allclose(rotations[0], np.eye(3), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(rotations), 1)
    assert len(np.unique(rotations.round(6), axis=0)) == 60
    for rotation in rotations:
        apart = np.linalg.norm((vertices @ rotation.T)[:, None] - vertices, axis=2)
        np.testing.assert_allclose(apart.min(axis=1), 0, atol=1e-12)


def test_alignments_permute_the_axes_as_the_rotations_do() -> None:
    axes = dodecahedron()[:10]
    for rotation, permutation in zip(dodecahedron_rotations(), alignments(), strict=True):
        for direction, target in enumerate(permutation):
            turned = rotation @ axes[direction]
            assert min(np.abs(turned - axes[target]).max(), np.abs(turned + axes[target]).max()) < 1e-12


def test_alignments_are_a_group_of_sixty() -> None:
    """Without inverses the distance would not be symmetric."""
    permutations = {tuple(permutation) for permutation in alignments()}
    assert len(permutations) == 60
    assert all(sorted(permutation) == [*range(10)] for permutation in permutations)
    for one in permutations:
        assert tuple(np.argsort(one)) in permutations
        assert all(tuple(np.array(one)[list(other)]) in permutations for other in permutations)


def naive(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> int:
    """The distance of two light fields by its definition."""
    systems = (each.reshape(10, 10, 45).astype(int) for each in (one, other))
    first, second = systems
    return min(
        sum(int(np.abs(a[direction] - b[permutation[direction]]).sum()) for direction in range(10))
        for a in first
        for b in second
        for permutation in alignments()
    )


def light_fields(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Random light fields, of values that are small for some and over the whole range for others."""
    random = np.random.default_rng(seed)
    highest = random.integers(2, 257, (count, 1))
    return (random.random((count, 4500)) * highest).astype(np.uint8)


def test_distances_are_those_of_the_definition() -> None:
    queries, gallery = light_fields(2), light_fields(3, seed=1)
    distances = light_field_distances(queries, gallery)
    assert (distances.shape, distances.dtype) == ((2, 3), np.int32)
    expected = [[naive(query, row) for row in gallery] for query in queries]
    np.testing.assert_array_equal(distances, expected)


def test_the_largest_distance_does_not_overflow() -> None:
    black, white = np.zeros((1, 4500), np.uint8), np.full((1, 4500), 255, np.uint8)
    assert light_field_distances(black, white) == light_field_distances(white, black) == 4500 // 10 * 255


def test_the_distance_is_symmetric_and_zero_only_for_the_same() -> None:
    gallery = light_fields(12)
    distances = light_field_distances(gallery, gallery)
    np.testing.assert_array_equal(distances, distances.T)
    np.testing.assert_array_equal(distances == 0, np.eye(12, dtype=bool))


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_systems_and_the_pose_of_each_do_not_matter(seed: int) -> None:
    random = np.random.default_rng(seed)
    (light_field, other) = light_fields(2, seed)
    systems = light_field.reshape(10, 10, 45)[random.permutation(10)]
    posed = np.stack([system[alignments()[random.integers(60)]] for system in systems]).reshape(1, 4500)
    assert light_field_distances(light_field[None], posed) == 0
    np.testing.assert_array_equal(
        light_field_distances(other[None], posed), light_field_distances(other[None], light_field[None])
    )
    shuffled = systems[:, random.permutation(10)].reshape(1, 4500)  # by no rotation
    assert light_field_distances(light_field[None], shuffled) > 0
