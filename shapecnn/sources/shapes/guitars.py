"""Generate guitars, with lengths in metres; each is built lying, with the neck along y, and then turned upright."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from shapecnn.meshes.mesh import Mesh
from shapecnn.sources.shapes.parts import Array, box, circle, cylinder, join, move, pair, prism, rotate, spline, tube
from shapecnn.sources.shapes.stands import hoop

_FLYING_V = np.array([(0.2, 0.9), (-0.2, 0.9), (-1.1, -0.8), (-0.75, -1), (0, -0.35), (0.75, -1), (1.1, -0.8)])


def guitar(rng: Generator) -> Mesh:
    """Build a random acoustic or electric guitar that stands upright, tilted by a few degrees.

    Args:
        rng: Random number generator.

    Returns:
        The mesh with the z axis up, in metres.
    """
    u = rng.uniform
    body, bout, neck = u(0.42, 0.52), u(0.16, 0.21), u(0.36, 0.5)
    electric = rng.random() < 0.45
    front = u(0.04, 0.05) if electric else u(0.09, 0.12)  # the depth of the body
    outline = _FLYING_V if electric and rng.random() < 0.25 else _figure_of_eight(rng, horned=electric)
    nut = body / 2 + neck  # y of the upper end of the strings
    bridge = -body * u(0.2, 0.28)
    parts = [
        prism(outline * (bout, body / 2), front, bevel=0.08),
        box((0.05, nut, 0.025), (0, nut / 2, front - 0.01), u(0.85, 1)),
        box((u(0.08, 0.16), 0.025, 0.02), (0, bridge, front)),
        move(_head(rng, u(0.14, 0.2)), (0, nut, front)),
    ]
    if electric:
        pickups = np.linspace(-0.02, body * 0.2, int(rng.integers(1, 4)))
        knobs = body * (0.2 + 0.08 * np.arange(rng.integers(1, 4)))
        parts += [box((0.08, 0.03, 0.015), (0, y, front)) for y in pickups]
        parts += [cylinder(0.012, 0.02, (bout * 0.6, -y, front)) for y in knobs]
    else:
        parts.append(move(hoop(u(0.04, 0.05), 0.006), (0, body * 0.12, front)))
    if rng.random() < 0.6:
        string = box((0.003, nut - bridge, 0.003), (0, (nut + bridge) / 2, front + 0.018))
        parts += [move(string, (x, 0, 0)) for x in (-0.015, -0.005, 0.005, 0.015)]
    return rotate(rotate(join(parts), 90 - u(-3, 12), "x"), u(-10, 10), "y")


def _head(rng: Generator, length: float) -> Mesh:
    """Build the head of a guitar, which starts at y = 0, with three pegs on each side or six pegs on one side."""
    u = rng.uniform
    board = rotate(box((u(0.06, 0.085), 0.02, length + 0.01), top=u(0.7, 1.2)), -90 - u(0, 12), "x")
    peg = tube([(0.02, 0, 0), (0.065, 0, 0)], 0.008, circle(6))
    one_side = rng.random() < 0.4
    places = np.linspace(0.12, 0.9, 6 if one_side else 3) * length
    pegs = join(move(peg, (0, y, 0)) for y in places)
    return join([move(board, (0, -0.01, 0.005)), pegs if one_side else pair(pegs, "x")])


def _figure_of_eight(rng: Generator, horned: bool) -> Array:
    """Return the outline of a guitar body, k points (k, 2) in [-1, 1]², often with a cutaway beside the neck."""
    upper, waist = rng.uniform(0.68, 0.85), rng.uniform(0.52, 0.72)
    y = [-1, -0.97, -0.8, -0.45, 0.05, 0.5, 0.8, 0.97, 1]
    left = [0, 0.4, 0.85, 1, waist, upper, upper * 0.85, upper * 0.45, 0.15]
    if horned:
        y[7:] = [1, 0.8]
        left[5:] = [upper, upper, upper * 0.9, 0.2]
    right = [*left[:6], upper * 0.7, 0.2, 0.15] if rng.random() < 0.5 else left
    there, back = (spline(np.column_stack([half, y]), 33) for half in (right, left))
    return np.concatenate([there, back[:0:-1] * (-1, 1)])
