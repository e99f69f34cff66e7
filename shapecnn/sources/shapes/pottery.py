"""Build parts of vessels (such as vases and mugs): walls, outlines and handles, for a vessel radius of about 1."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from shapecnn.meshes.mesh import Mesh
from shapecnn.sources.shapes.parts import Array, circle, revolve, spline, superellipse, tube


def wall(rng: Generator, profile: Array, section: Array) -> Mesh:
    """Build the bottom and side of an open vessel, with a thick wall; one vessel in five has a wall without thickness.

    Args:
        rng: Random number generator.
        profile: Outside of the vessel, m points from the bottom up, (m, 2), each with radius and height.
        section: Horizontal outline of k points, (k, 2), which is scaled by the radius.

    Returns:
        The mesh.
    """
    floor, outside = profile[0, 1], np.concatenate([[(0, profile[0, 1])], profile])
    if rng.random() < 0.2:
        return revolve(outside, section)
    thickness = rng.uniform(0.04, 0.12)
    radius, height = profile[::-1].T
    inside = np.column_stack([np.maximum(radius - thickness, 0.02), np.maximum(height, floor + thickness)])
    return revolve(np.concatenate([outside, inside, [(0, floor + thickness)]]), section)


def section(rng: Generator, square: float = 0, lobed: float = 0) -> Array:
    """Return a random horizontal outline for a vessel: a rounded square, a lobed circle or a circle.

    Args:
        rng: Random number generator.
        square: Probability of a rounded square.
        lobed: Probability of a lobed circle.

    Returns:
        The outline, k points (k, 2).
    """
    kind = rng.random()
    if kind < square:
        return superellipse(rng.uniform(3.5, 8), 32)
    if kind < square + lobed:
        lobes = int(rng.integers(5, 13))
        waves = np.cos(np.linspace(0, 2 * np.pi * lobes, 6 * lobes, endpoint=False))
        return circle(6 * lobes) * (1 + rng.uniform(0.03, 0.09) * waves)[:, None]
    return circle(int(rng.choice([8, 16, 24, 32])))


def handle(rng: Generator, profile: Array, reach: float, span: tuple[float, float]) -> Mesh:
    """Build a handle on the +x side of a vessel.

    Args:
        rng: Random number generator.
        profile: Outside of the vessel, m points from the bottom up, (m, 2), each with radius and height.
        reach: Distance between the vessel and the outer end of the handle.
        span: Heights of the two ends of the handle, as fractions of the height of the vessel.

    Returns:
        The mesh.
    """
    u = rng.uniform
    low, high = np.array(span) * profile[-1, 1]
    middle, half = (low + high) / 2, (high - low) / 2
    start, end = np.interp([low, high], profile[:, 1], profile[:, 0]) - 0.06
    out = max(start, end) + reach
    match rng.choice(["ear", "angular", "ring", "hook"], p=[0.45, 0.25, 0.2, 0.1]):
        case "ear":
            bend = [(start, low), (out * 0.85, low + 0.2 * half), (out, middle + 0.4 * half), (end, high)]
            path = spline(bend, 15)
        case "angular":
            lower, edge = low + u(-0.4, 0.4) * half, out - 0.08
            path = np.array(
                [(start, low), (edge, lower), (out, lower + 0.08), (out, high - 0.08), (edge, high), (end, high)]
            )
        case "ring":
            angle = np.linspace(-np.pi / 2, np.pi / 2, 13)
            foot = np.linspace(start, end, 13)
            path = np.column_stack([foot + reach * np.cos(angle), middle + half * np.sin(angle)])
        case _:  # a hook is joined to the wall only at its upper end
            path = spline([(out * 0.9, low), (out, middle), (out * 0.9, high), (end, high)], 15)
    thickness = u(0.07, 0.13)
    width = thickness * u(0.9, 2.2)
    shape = superellipse(rng.choice([2, 5]), 8)
    return tube(np.insert(path, 1, 0, axis=1), (width, thickness), shape, across=(0, 1, 0))
