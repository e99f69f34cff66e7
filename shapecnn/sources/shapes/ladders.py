"""Generate ladders, with lengths in metres: rungs or treads between two stiles (the side rails)."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from shapecnn.meshes.mesh import Mesh
from shapecnn.sources.shapes.parts import SQUARE, box, circle, join, move, pair, rotate, tube


def ladder(rng: Generator) -> Mesh:
    """Build a random ladder: a leaning or upright ladder, an extension ladder or a step ladder.

    Args:
        rng: Random number generator.

    Returns:
        The mesh with the z axis up, in metres.
    """
    u = rng.uniform
    height, width, stile, lean = u(1.4, 3.2), u(0.35, 0.6), u(0.02, 0.04), u(0, 20)
    if rng.random() < 0.45:
        return _step_ladder(rng, height, width, stile, lean=u(10, 20))
    flat = rng.random() < 0.25
    flight = _flight(
        rng, height, (width, width * u(0.6, 1.0)), stile, max(4, round(height / u(0.22, 0.38))), lean, flat
    )
    if rng.random() < 0.2:  # an extension ladder has a second, higher ladder behind the first
        upper = move(flight, (0, 2.5 * stile, height * u(0.3, 0.6)))
        flight = join([flight, upper])
    return rotate(flight, -lean, "x")


def _step_ladder(rng: Generator, height: float, width: float, stile: float, lean: float) -> Mesh:
    """Build a step ladder: a leaning front with treads, two rear legs, a platform, and sometimes a handrail."""
    u = rng.uniform
    narrowing = u(0.6, 1.0)
    count = int(rng.integers(3, 7))
    front = _flight(rng, height, (width, width * narrowing), stile, count, lean, flat=True)
    top, middle = height * np.cos(np.radians(lean)), height * np.sin(np.radians(lean))
    x = width / 2 * narrowing
    leg = tube([(width / 2, 2 * middle, 0), (x, middle, top)], stile * 0.7, SQUARE, across=(0, 1, 0))
    platform = box((2 * x + 2 * stile, u(0.1, 0.3), 0.03), (0, middle, top))
    parts = [rotate(front, -lean, "x"), pair(leg, "x"), platform]
    for share in u(0.15, 0.85, int(rng.integers(1, 4))):
        reach = width * (1 - share * (1 - narrowing))
        parts.append(box((reach, stile, stile), (0, middle * (2 - share), share * top)))
    if rng.random() < 0.35:
        rise = top + u(0.3, 0.6)
        rail = [(-x, middle, top), (-x, middle, rise), (x, middle, rise), (x, middle, top)]
        parts.append(tube(rail, stile * 0.6, circle(8), across=(0, 1, 0)))
    return join(parts)


def _flight(
    rng: Generator, height: float, widths: tuple[float, float], stile: float, count: int, lean: float, flat: bool
) -> Mesh:
    """Build an upright ladder: two stiles with rungs or flat treads between them.

    ``widths`` are the distances between the stiles at the bottom and at the top; ``stile`` is the half width of a
    stile. Treads become level when the caller tilts the ladder by ``lean`` degrees.
    """
    below, above = np.array(widths) / 2
    section = SQUARE if rng.random() < 0.6 else circle(10)
    radius = (stile, stile * rng.uniform(0.5, 1))
    rail = tube([(below, 0, 0), (above, 0, height)], radius, section, across=(0, 1, 0))
    level = (0, np.cos(np.radians(lean)), np.sin(np.radians(lean)))
    rungs = []
    for share in (np.arange(count) + 0.7) / (count + 0.4):
        x, z = below + share * (above - below), share * height
        if flat:
            rungs.append(tube([(-x, 0, z), (x, 0, z)], (stile * 1.8, stile * 0.4), SQUARE, across=level))
        else:
            rungs.append(tube([(-x, 0, z), (x, 0, z)], stile * 0.6, circle(8)))
    return join([pair(rail, "x"), *rungs])
