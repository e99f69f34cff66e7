"""Build legs, pedestals and other stands for chairs, stools, benches and tables, with lengths in metres."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from shapecnn.meshes.mesh import Mesh
from shapecnn.sources.shapes.parts import (
    SQUARE,
    Array,
    around,
    box,
    circle,
    cylinder,
    join,
    move,
    pair,
    revolve,
    rotate,
    spline,
    tube,
)

# Pairs of points that cross-bars connect: 0 to 3 are the legs, 4 and 5 the midpoints of the left and right bars.
_BARS: dict[str, list[tuple[int, int]]] = {
    "none": [],
    "sides": [(0, 3), (1, 2)],
    "all": [(0, 1), (1, 2), (2, 3), (3, 0)],
    "cross": [(0, 2), (1, 3)],
    "H": [(0, 3), (1, 2), (4, 5)],
}


def legs(rng: Generator, width: float, depth: float, height: float, thickness: float) -> Mesh:
    """Build four legs under the corners of a rectangle: straight, tapered or splayed, often with cross-bars.

    Args:
        rng: Random number generator.
        width: Width (x) of the rectangle.
        depth: Depth (y) of the rectangle.
        height: Height of the upper ends of the legs.
        thickness: Radius or half width of the legs.

    Returns:
        The mesh with the z axis up, in metres.
    """
    u = rng.uniform
    section = SQUARE if rng.random() < 0.5 else circle(10)
    splay = u(0.03, 0.2) if rng.random() < 0.4 else 0
    taper = u(0.4, 1.0)
    top = (np.array([width, depth]) / 2 - thickness) * u(0.8, 1.0)
    tops = np.column_stack([SQUARE * top, np.full(4, height)])
    feet = np.column_stack([SQUARE * (top + splay * height), np.zeros(4)])
    radius = thickness * np.array([(taper,), (1,)])
    parts = [tube(leg, radius, section, across=(0, 1, 0)) for leg in np.stack([feet, tops], axis=1)]

    level = feet + u(0.15, 0.45) * (tops - feet)
    level = np.concatenate([level, (level[[0, 1]] + level[[3, 2]]) / 2])
    bars = _BARS[str(rng.choice(list(_BARS), p=[0.45, 0.15, 0.2, 0.1, 0.1]))]
    return join([*parts, *(tube(level[list(ends)], thickness * 0.6, section) for ends in bars)])


def spread_legs(rng: Generator, radius: float, height: float, thickness: float) -> Mesh:
    """Build three to five legs around the z axis, often with a ring or spokes between them.

    Args:
        rng: Random number generator.
        radius: Approximate distance of the feet from the z axis.
        height: Height of the upper end of the stand.
        thickness: Radius or half width of the bars.

    Returns:
        The mesh with the z axis up, in metres.
    """
    u = rng.uniform
    count, foot, top = int(rng.integers(3, 6)), radius * u(0.9, 1.3), radius * u(0.4, 0.9)
    spoke = [tube([(foot, 0, 0), (top, 0, height)], thickness, circle(8))]
    level = u(0.15, 0.5)
    z, reach = level * height, foot + level * (top - foot)
    ring = []
    match rng.choice(["none", "ring", "spokes"]):
        case "ring":
            ring = [move(hoop(reach, thickness * 0.7), (0, 0, z))]
        case "spokes":
            spoke.append(tube([(0, 0, z), (reach, 0, z)], thickness * 0.6, circle(8)))
    return join([around(join(spoke), count, start=u(0, 360)), *ring])


def pedestal(rng: Generator, radius: float, height: float, thickness: float) -> Mesh:
    """Build one column on a foot: a disc, a foot turned on a lathe, or a star of feet, sometimes with castors.

    Args:
        rng: Random number generator.
        radius: Approximate radius of the foot.
        height: Height of the upper end of the stand.
        thickness: Radius or half width of the bars.

    Returns:
        The mesh with the z axis up, in metres.
    """
    u = rng.uniform
    column = thickness * u(1.0, 2.0)
    match rng.choice(["disc", "turned", "star"]):
        case "disc":
            outline = (SQUARE, circle(8), circle(24))[rng.integers(3)]
            plate = cylinder(radius, u(0.02, 0.06), top=u(0.8, 1), section=outline)
            return join([plate, cylinder(column, height)])
        case "turned":
            return baluster([radius * u(0.7, 1), column * u(1, 2), column, column * u(1, 2.5), column], height)
        case _:
            low, lift = u(0.02, 0.08), u(0, 0.1)
            path = [(0, 0, low + lift), (radius, 0, low)]
            foot = [tube(path, thickness * np.array([(1,), (0.5,)]), SQUARE)]
            if rng.random() < 0.5:
                castor = rotate(cylinder(low, 2 * thickness, section=circle(10)), 90, "x")
                foot.append(move(castor, (radius, thickness, low)))
            star = around(join(foot), int(rng.integers(3, 6)), start=u(0, 360))
            return join([star, cylinder(column, height - low, (0, 0, low))])


def panels(rng: Generator, width: float, depth: float, height: float, thickness: float) -> Mesh:
    """Build a panel, a trestle or an X-shaped frame under each end of a seat or table, often joined by a beam.

    Args:
        rng: Random number generator.
        width: Width (x) of the seat or top.
        depth: Depth (y) of the seat or top.
        height: Height of the upper end of the stand.
        thickness: Radius or half width of the bars.

    Returns:
        The mesh with the z axis up, in metres.
    """
    u = rng.uniform
    x = width / 2 * u(0.75, 0.95)
    match rng.choice(["panel", "trestle", "X"]):
        case "panel":
            end = box((2 * thickness, depth * u(0.8, 1), height), (x, 0, 0), u(0.8, 1))
        case "trestle":
            foot = box((2 * thickness, depth * u(0.7, 1), 2 * thickness), (x, 0, 0))
            end = join([foot, box((2 * thickness, 3 * thickness, height), (x, 0, 0))])
        case _:
            y = depth / 2 * 0.85
            end = pair(tube([(x, -y, 0), (x, y, height)], thickness, SQUARE), "y")
    if rng.random() < 0.4:
        return pair(end, "x")
    beam = box((2 * x, thickness, 3 * thickness), (0, 0, height * u(0.2, 0.8) - thickness))
    return join([pair(end, "x"), beam])


def sled(rng: Generator, width: float, depth: float, height: float, thickness: float) -> Mesh:
    """Build a sled base: a bent bar on each side along the floor, sometimes open at the rear (a cantilever chair).

    Args:
        rng: Random number generator.
        width: Width (x) of the seat.
        depth: Depth (y) of the seat.
        height: Height of the upper end of the base.
        thickness: Radius or half width of the bars.

    Returns:
        The mesh with the z axis up, in metres.
    """
    y, low = depth / 2, thickness
    bend = [(-y, height), (-y, low + 0.03), (-y + 0.03, low), (y - 0.03, low), (y, low + 0.03), (y, height)]
    if rng.random() < 0.4:
        bend = bend[:4]
    bar = tube(
        np.insert(np.array(bend), 0, width / 2 - thickness, axis=1), thickness * 0.7, circle(8), across=(1, 0, 0)
    )
    return pair(bar, "x")


def baluster(radii: Sequence[float], height: float, section: Array | None = None) -> Mesh:
    """Build a column of revolution, open at the top, from its radii at equal steps in height.

    Args:
        radii: Radii at equal steps, from the floor up; the column is smooth between them.
        height: Height of the column.
        section: Horizontal outline of k points, (k, 2), which is scaled by the radii. None means a circle.

    Returns:
        The mesh with the z axis up, in metres.
    """
    profile = spline(np.column_stack([radii, np.linspace(0, height, len(radii))]), 17)
    return revolve([(0, 0), *profile], section)


def hoop(radius: float, thickness: float) -> Mesh:
    """Build a torus around the z axis.

    Args:
        radius: Distance of the centre of the tube from the z axis.
        thickness: Radius of the tube.

    Returns:
        The mesh with the z axis up, in metres.
    """
    ring = np.insert(circle(24) * radius, 2, 0, axis=1)
    return tube(ring, thickness, circle(8), across=(0, 0, 1), ends="joined")
