"""Generate hammers, with lengths in metres: a shaft along z with a head along x."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from shapecnn.meshes.mesh import Mesh
from shapecnn.sources.shapes.parts import (
    SQUARE,
    ball,
    circle,
    hull,
    join,
    move,
    pair,
    rotate,
    spline,
    superellipse,
    tube,
)


def hammer(rng: Generator) -> Mesh:
    """Build a random hammer (claw, sledge, ball-peen or mallet) that is upright, on its head, or lying on the floor.

    Args:
        rng: Random number generator.

    Returns:
        The mesh with the z axis up, in metres.
    """
    u = rng.uniform
    length, grip = u(0.28, 0.6), u(0.012, 0.02)
    radius = spline([(grip * u(0.9, 1.3),), (grip * u(0.8, 1.2),), (grip * u(0.6, 0.9),)], 9)
    axis = np.linspace((0, 0, 0), (0, 0, length), 9)
    shaft = tube(axis, radius * (1, u(0.7, 1)), superellipse(rng.choice([2, 4]), 12))
    head = _head(rng, u(0.05, 0.09), grip * u(1.1, 1.7))
    whole = join([shaft, move(head, (0, 0, length))])
    match rng.choice(["upright", "on its head", "lying"], p=[0.6, 0.2, 0.2]):
        case "upright":
            return rotate(whole, u(-8, 8), "y")
        case "on its head":
            return rotate(whole, 180, "x")
        case _:
            return rotate(whole, 90, "x")


def _head(rng: Generator, reach: float, face: float) -> Mesh:
    """Build the head of a hammer around the origin, with half length ``reach`` and a face of radius ``face``."""
    u = rng.uniform
    section = circle(int(rng.choice([6, 8, 20])))
    match rng.choice(["claw", "sledge", "mallet", "peen"], p=[0.4, 0.2, 0.2, 0.2]):
        case "claw":
            x, r = [-0.15, 0.25, 0.35, 0.65, 0.7, 0.9], np.array([0.9, 0.9, 0.65, 0.65, 1, 1]) * face
            bend = [(0.01, 0, 0), (-reach * 0.5, 0, face * 0.3), (-reach * u(1.0, 1.4), 0, -face * u(0.5, 2))]
            prong = spline(bend, 9) + np.linspace((0, 0, 0), (0, face * 0.7, 0), 9)
            width = np.linspace((face * 0.5, face * 0.8), (face * 0.25, face * 0.15), 9)
            claw = pair(tube(prong, width, SQUARE, across=(0, 1, 0)), "y")
            return join([hull(np.array(x) * reach, r, -r, r, section), claw])
        case "sledge":
            section = SQUARE if rng.random() < 0.5 else circle(8)
            x, r = ([-1, -0.85, -0.3, 0.3, 0.85, 1], np.array([0.8, 1, 0.85, 0.85, 1, 0.8]) * face * u(1.3, 2.0))
        case "mallet":
            section = circle()
            x, r = [-1, -0.95, 0, 0.95, 1], np.array([0.9, 1, u(0.85, 1.1), 1, 0.9]) * face * u(1.8, 2.8)
        case _:
            x, r = [-0.6, -0.3, 0.3, 0.45, 0.6, 0.65, 1], np.array([0.6, 0.8, 0.8, 0.55, 0.6, 1, 1]) * face
            peen = ball((face * 0.9,) * 3, (-reach * 0.75, 0, 0))
            return join([hull(np.array(x) * reach, r, -r, r, section), peen])
    return hull(np.array(x) * reach, r, -r, r, section)
