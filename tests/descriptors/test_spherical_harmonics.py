"""Spherical harmonics: ducc0 as oracle, known energies, and invariance under rotation, translation and scale."""

from __future__ import annotations

import math

import ducc0
import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from shapecnn.descriptors.spherical_harmonics import (
    DEGREES,
    LENGTH,
    SHELLS,
    degree_energies,
    sample_directions,
    spherical_harmonics,
)
from shapecnn.meshes.source import MeshArrays, load_mesh_input
from shapecnn.models.descriptors import SphSettings
from shapecnn.settings.views_and_grids import NO_LIMIT
from shapecnn.voxels import occupancy_grids


def mean_square(values: NDArray[np.floating]) -> float:
    """The integral of a squared function over the sphere, by another quadrature: many random directions."""
    return float(4 * math.pi * np.mean(values**2))


def test_energies_are_those_of_ducc0() -> None:
    samples = np.random.default_rng(0).standard_normal((5, 2048)).astype(np.float32)
    energies = degree_energies(samples)
    for own, function in zip(energies, samples, strict=True):
        latitudes = function.reshape(1, 32, 64).astype(np.float64)[:, ::-1]  # ducc0 begins at the north pole
        alm = ducc0.sht.analysis_2d(map=np.ascontiguousarray(latitudes), spin=0, lmax=15, geometry="GL")[0]
        degree = np.concatenate([np.arange(order, DEGREES) for order in range(DEGREES)])
        order = np.repeat(np.arange(DEGREES), DEGREES - np.arange(DEGREES))
        squares = np.abs(alm) ** 2 * np.where(order > 0, 2, 1)  # negative orders have the energy of positive ones
        np.testing.assert_allclose(own, np.bincount(degree, squares), rtol=1e-4)


def test_polynomials_have_the_energy_of_their_degree() -> None:
    x, y, z = sample_directions().T
    functions = np.stack([np.ones_like(x), z, x * y, 3 * z**2 - 1, 5 * z**3 - 3 * z]).astype(np.float32)
    energies = degree_energies(functions)
    degrees = [0, 1, 2, 2, 3]
    # ∫1 = 4π, ∫z² = 4π/3, ∫x²y² = 4π/15, ∫(3z²−1)² = 16π/5, ∫(5z³−3z)² = 16π/7
    integrals = [4 * math.pi, 4 * math.pi / 3, 4 * math.pi / 15, 16 * math.pi / 5, 16 * math.pi / 7]
    expected = np.zeros((5, DEGREES))
    expected[range(5), degrees] = integrals
    np.testing.assert_allclose(energies, expected, atol=1e-4)


def test_a_rotated_function_has_the_same_energies() -> None:
    directions = sample_directions()
    random = np.random.default_rng(1)
    poles, weights = random.standard_normal((6, 3)), random.standard_normal(6)

    def function(points: NDArray[np.float64]) -> NDArray[np.float32]:
        return (weights * (points @ poles.T) ** 5).sum(axis=1).astype(np.float32)

    functions = [function(Rotation.random(rng=seed).apply(directions)) for seed in range(4)]
    energies = degree_energies(np.stack([function(directions), *functions]))
    np.testing.assert_allclose(energies, np.repeat(energies[:1], 5, axis=0), rtol=1e-3, atol=1e-3 * energies.max())
    many = random.standard_normal((200_000, 3))
    many /= np.linalg.norm(many, axis=1, keepdims=True)
    assert energies[0].sum() == pytest.approx(mean_square(function(many).astype(np.float64)), rel=0.02)


def descriptor(solid: trimesh.Trimesh, rotation: Rotation | None = None) -> NDArray[np.float32]:
    """The descriptor of a solid that is turned, then normalized and filled anew, of unit length."""
    vertices = solid.vertices if rotation is None else rotation.apply(solid.vertices)
    mesh = load_mesh_input(MeshArrays("solid", vertices, np.asarray(solid.faces)), "z", NO_LIMIT)
    (grid,) = occupancy_grids(mesh, SphSettings().input_settings())
    values = spherical_harmonics(grid)
    return values / np.linalg.norm(values)


def test_the_distance_between_rotations_is_small_beside_that_between_shapes() -> None:
    create = trimesh.creation
    meshes = [create.box((1, 1, 1)), create.box((3, 1, 0.2)), create.cylinder(0.2, 2), create.torus(1, 0.3)]
    originals = np.stack([descriptor(mesh) for mesh in meshes])
    turned = np.stack([[descriptor(mesh, Rotation.random(rng=seed)) for seed in range(4)] for mesh in meshes])
    own = np.linalg.norm(turned - originals[:, None], axis=2)
    between = np.linalg.norm(originals[:, None] - originals, axis=2)[~np.eye(len(meshes), dtype=bool)]
    print(own.round(3), between.round(3))
    assert own.max() < 0.15
    assert own.mean() < 0.2 * between.min()


def ball(radius: float, centre: tuple[float, float, float] = (31.5, 31.5, 31.5)) -> NDArray[np.bool_]:
    lengths = np.linalg.norm(np.stack(np.indices((64, 64, 64)), axis=-1) - np.array(centre), axis=-1)
    return np.abs(lengths - radius) < 0.75


def test_a_sphere_has_only_degree_0_and_is_strongest_at_its_radius() -> None:
    by_shell = spherical_harmonics(ball(20)).reshape(SHELLS, DEGREES)
    assert np.linalg.norm(by_shell[:, 1:]) < 0.03 * np.linalg.norm(by_shell[:, 0])
    assert abs(int(by_shell[:, 0].argmax()) + 1 - SHELLS / 2) <= 1  # the outermost shell has twice the mean radius


def test_position_and_size_do_not_matter() -> None:
    here = spherical_harmonics(ball(20))
    for other in (ball(14), ball(20, (27.5, 33.5, 30.5))):
        assert np.linalg.norm(spherical_harmonics(other) - here) < 0.05 * np.linalg.norm(here)


def test_length_type_and_the_empty_grid() -> None:
    values = spherical_harmonics(ball(20))
    assert (values.shape, values.dtype) == ((LENGTH,), np.float32)
    assert not spherical_harmonics(np.zeros((64, 64, 64), bool)).any()


def test_one_cell_alone_is_described() -> None:
    grid = np.zeros((64, 64, 64), bool)
    grid[3, 60, 31] = True
    assert np.isfinite(spherical_harmonics(grid)).all()
