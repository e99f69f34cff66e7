"""Generate tables and bookshelves, with lengths in metres."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.random import Generator

from shapecnn.meshes.mesh import Mesh
from shapecnn.sources.shapes.parts import SQUARE, box, circle, join, pair, prism, superellipse
from shapecnn.sources.shapes.stands import legs, panels, pedestal, sled, spread_legs


def table(rng: Generator) -> Mesh:
    """Build a random table: a top on legs, panels, a pedestal or a sled, maybe with an apron, a shelf or drawers.

    Args:
        rng: Random number generator.

    Returns:
        The mesh with the z axis up, in metres.
    """
    u = rng.uniform
    width, height, thickness = u(0.6, 1.8), u(0.35, 0.8), u(0.02, 0.045)
    depth = width * u(0.45, 1.0)
    slab = u(0.02, 0.06)
    outlines = [(SQUARE, 1), (superellipse(4, 32), 0.85), (circle(32), 0.7), (circle(6), 0.7)]
    outline, inner = outlines[
        rng.choice(4, p=[0.55, 0.15, 0.2, 0.1])
    ]  # inner: fraction of the width that legs can support
    parts = [prism(outline * (width / 2, depth / 2), slab, (0, 0, height))]
    foot = (width * inner, depth * inner, height, thickness)
    match rng.choice(["legs", "pedestal", "panels", "spread", "sled"], p=[0.45, 0.2, 0.17, 0.13, 0.05]):
        case "legs":
            parts.append(legs(rng, *foot))
        case "pedestal":
            parts.append(pedestal(rng, depth * u(0.25, 0.4), height, thickness * 1.3))
        case "panels":
            parts.append(panels(rng, *foot))
        case "spread":
            parts.append(spread_legs(rng, depth * 0.4, height, thickness))
        case _:
            parts.append(sled(rng, *foot))
    if inner == 1:
        if rng.random() < 0.3:
            parts.append(box((width * 0.88, depth * 0.85, u(0.05, 0.12)), (0, 0, height - 0.05)))
        if rng.random() < 0.2:
            parts.append(box((width * 0.85, depth * 0.8, slab), (0, 0, height * u(0.2, 0.5))))
        if rng.random() < 0.25:
            parts.append(_drawers(rng, width, depth, height))
    return join(parts)


def _drawers(rng: Generator, width: float, depth: float, height: float) -> Mesh:
    """Build the drawers of a table, under one end or both ends of the table top."""
    u = rng.uniform
    chest, drop = width * u(0.22, 0.32), height * u(0.3, 0.95)
    x, count = width * 0.48 - chest / 2, int(rng.integers(1, 5))
    parts = [box((chest, depth * 0.9, drop), (x, 0, height - drop))]
    for i in range(count):
        face = drop / count * 0.85
        z = height - drop * (i + 1) / count + drop / count * 0.07
        parts += [
            box((chest * 0.9, 0.02, face), (x, -depth * 0.455, z)),
            box((chest * 0.3, 0.03, 0.02), (x, -depth * 0.48, z + face / 2)),
        ]
    return pair(join(parts), "x") if rng.random() < 0.4 else join(parts)


def bookshelf(rng: Generator) -> Mesh:
    """Build a random bookshelf: boards between uprights, maybe with a back, dividers, doors and books.

    Args:
        rng: Random number generator.

    Returns:
        The mesh with the z axis up, in metres.
    """
    u = rng.uniform
    width, height, depth, board = u(0.5, 1.5), u(0.8, 2.1), u(0.22, 0.42), u(0.015, 0.035)
    floor = u(0.04, 0.15)
    levels = np.linspace(floor, height - board, int(rng.integers(3, 8)))
    levels[1:-1] += u(-0.1, 0.1, len(levels) - 2) * (levels[1] - levels[0])
    parts = [box((width, depth, board), (0, 0, z)) for z in levels]
    if rng.random() < 0.75:
        side = box((board, depth, height), (width / 2, 0, 0))
    else:  # open at the sides: posts only
        side = pair(box((0.03, 0.03, height), (width / 2 - 0.015, depth / 2, 0)), "y")
    parts.append(pair(side, "x"))
    if rng.random() < 0.6:
        parts.append(box((width, 0.01, height), (0, depth / 2, 0)))
    columns = int(rng.integers(1, 4)) if width > 0.8 else 1
    parts += [
        box((board, depth * 0.98, height - floor), (x, 0, floor))
        for x in np.linspace(-width / 2, width / 2, columns + 1)[1:-1]
    ]
    if rng.random() < 0.2:  # doors in front of the lowest compartments
        door = box((width * 0.48, 0.02, levels[1] - floor), (width / 4, -depth / 2, floor))
        parts.append(pair(door, "x"))
    if rng.random() < 0.55:
        for low, high in itertools.pairwise(levels):
            parts += _books(rng, width - 2 * board, depth, low + board, high - low - board)
    return join(parts)


def _books(rng: Generator, width: float, depth: float, z: float, room: float) -> list[Mesh]:
    """Build a row of books of different sizes that fills part of one compartment of a bookshelf."""
    thick = rng.uniform(0.02, 0.07, int(rng.integers(0, 12)))
    right = np.cumsum(thick)
    start = rng.uniform(-width / 2, max(width / 2 - thick.sum(), -width / 2))
    fits = start + right < width / 2
    tall = room * rng.uniform(0.55, 0.95, len(thick))
    return [
        box((t * 0.95, depth * 0.7, h), (start + r - t / 2, depth * 0.05, z))
        for t, r, h in zip(thick[fits], right[fits], tall[fits], strict=True)
    ]
