"""Generate mugs, vases, bottles, bowls and teapots: surfaces of revolution with attached parts, of radius about 1."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from shapecnn.meshes.mesh import Mesh
from shapecnn.sources.shapes.parts import around, ball, circle, cylinder, join, move, revolve, rotate, spline, tube
from shapecnn.sources.shapes.pottery import handle, section, wall


def mug(rng: Generator) -> Mesh:
    """Build a random mug with one handle (rarely two handles), sometimes on a saucer.

    Args:
        rng: Random number generator.

    Returns:
        The mesh with the z axis up and a radius of about 1.
    """
    u = rng.uniform
    height = u(1.5, 2.9)
    foot, belly, lip = u(0.7, 1.05), u(0.9, 1.15), u(0.9, 1.15)
    profile = spline([(foot, 0), (belly, height * u(0.3, 0.6)), (lip, height)], 9)
    parts = [wall(rng, profile, section(rng, square=0.1))]
    ear = handle(rng, profile, u(0.25, 0.75), (u(0.1, 0.4), u(0.7, 0.92)))
    parts.append(ear if rng.random() < 0.88 else around(ear, 2))
    if rng.random() < 0.12:
        saucer = np.array([(1.0, 0), (u(1.6, 2.0), u(0.15, 0.35))])
        parts.append(move(wall(rng, saucer, circle(28)), (0, 0, -0.12)))
    return rotate(join(parts), u(0, 360))


def vase(rng: Generator) -> Mesh:
    """Build a random vase; some vases have two handles, some hold flowers.

    Args:
        rng: Random number generator.

    Returns:
        The mesh with the z axis up and a radius of about 1.
    """
    u = rng.uniform
    height = u(1.9, 4.5)
    radii = np.array([u(0.4, 0.9), u(0.7, 1.3), u(0.5, 1.2), u(0.3, 0.8), u(0.4, 1.0)])
    if rng.random() < 0.3:  # a plain vase, like a mug without a handle
        radii = np.linspace(u(0.6, 0.9), u(0.7, 1.2), 5)
    levels = np.array([0, u(0.2, 0.35), u(0.45, 0.65), u(0.75, 0.88), 1]) * height
    profile = spline(np.column_stack([radii, levels]), 19)
    parts = [wall(rng, profile, section(rng, square=0.15, lobed=0.25))]
    if rng.random() < 0.2:
        parts.append(around(handle(rng, profile, u(0.3, 0.6), (u(0.4, 0.6), u(0.8, 0.92))), 2))
    if rng.random() < 0.25:
        parts += [_flower(rng, height) for _ in range(rng.integers(2, 7))]
    return rotate(join(parts), u(0, 360))


def _flower(rng: Generator, height: float) -> Mesh:
    """Build a flower in a vase of the given height: a stalk that leans outwards, with a blossom or a leaf."""
    u = rng.uniform
    reach, rise, size = u(0.1, 1.2), height * u(1.15, 1.45), u(0.2, 0.45)
    stalk = tube(spline([(0, 0, height * 0.3), (0.1, 0, height), (reach, 0, rise)], 7), 0.04, circle(6))
    radii = (size, size, size * u(0.4, 1.0)) if rng.random() < 0.7 else (size * 0.4, 0.05, size * 1.5)
    return rotate(join([stalk, ball(radii, (reach, 0, rise), 10)]), u(0, 360))


def bottle(rng: Generator) -> Mesh:
    """Build a random bottle with a shoulder and a neck, with or without a cap; some bottles have a handle.

    Args:
        rng: Random number generator.

    Returns:
        The mesh with the z axis up and a radius of about 1.
    """
    u = rng.uniform
    body, shoulder, neck = u(1.2, 3.2), u(0.25, 1.2), u(0.2, 1.4)
    width, throat, height = u(0.85, 1.1), u(0.22, 0.55), body + shoulder + neck
    waist = u(0.75, 0.95) if rng.random() < 0.3 else 1
    barrel = [(width * u(0.85, 1.0), 0), (width, 0.12), (width * waist, body / 2), (width, body)]
    bend = (width * u(0.7, 0.95), body + shoulder * 0.4)
    profile = spline([*barrel, bend, (throat * u(1.0, 1.4), body + shoulder), (throat, height)], 25)
    parts = [wall(rng, profile, section(rng, square=0.25))]
    if rng.random() < 0.6:
        cap, sides = u(0.2, 0.5), int(rng.choice([6, 12, 20]))
        parts.append(cylinder(throat * u(1.1, 1.4), cap, (0, 0, height - cap / 2), u(0.7, 1.0), circle(sides)))
    if rng.random() < 0.12:
        parts.append(handle(rng, profile, u(0.2, 0.5), ((body - 0.3) / height, 1 - 0.4 * neck / height)))
    return rotate(join(parts), u(0, 360))


def bowl(rng: Generator) -> Mesh:
    """Build a random bowl; some bowls have a foot or two handles, some hold fruit or a spoon.

    Args:
        rng: Random number generator.

    Returns:
        The mesh with the z axis up and a radius of about 1.
    """
    u = rng.uniform
    height, foot, bulge = u(0.5, 1.6), u(0.3, 0.75), u(0.35, 0.9)
    side = [(foot, 0), (foot + (1 - foot) * bulge, height * u(0.3, 0.5)), (1, height)]
    if rng.random() < 0.25:  # a turned-out rim
        side.append((u(1.1, 1.4), height * u(1.0, 1.08)))
    profile = spline(side, 11)
    parts = [wall(rng, profile, section(rng, square=0.12, lobed=0.2))]
    if rng.random() < 0.35:
        drop = u(0.1, 0.5)
        parts.append(revolve([(foot * u(0.8, 1.3), -drop), (foot * u(0.3, 0.9), 0), (foot, 0.05)]))
    if rng.random() < 0.15:
        parts.append(around(handle(rng, profile, u(0.15, 0.3), (0.5, 0.9)), 2))
    match rng.choice(["nothing", "fruit", "spoon"], p=[0.5, 0.3, 0.2]):
        case "fruit":
            for _ in range(rng.integers(3, 8)):
                fruit = ball(u(0.2, 0.35) * u(0.85, 1.15, 3), (u(0, 0.5), 0, height * u(0.5, 0.85)))
                parts.append(rotate(fruit, u(0, 360)))
        case "spoon":
            stick = [(0.1, 0, height * 0.3), (0.9, 0, height), (u(1.3, 1.8), 0, height * u(1.2, 1.6))]
            parts.append(tube(spline(stick, 8), (0.07, 0.04)))
    return rotate(join(parts), u(0, 360))


def teapot(rng: Generator) -> Mesh:
    """Build a random teapot with a spout, usually a lid, and a handle opposite the spout or over the lid.

    Args:
        rng: Random number generator.

    Returns:
        The mesh with the z axis up and a radius of about 1.
    """
    u = rng.uniform
    height, belly, top = u(1.2, 2.2), u(0.95, 1.2), u(0.45, 0.75)
    profile = spline([(u(0.5, 0.9), 0), (belly, height * u(0.3, 0.6)), (top, height)], 13)
    outline = section(rng, square=0.1, lobed=0.15)
    parts = [wall(rng, profile, outline)]

    low = height * u(0.15, 0.45)
    base = np.interp(low, profile[:, 1], profile[:, 0])
    tip = (belly + u(0.5, 0.9), 0, height * u(0.85, 1.15))
    spout = spline([(base - 0.15, 0, low), (base + 0.2, 0, low + u(0.05, 0.3)), tip], 9)
    parts.append(tube(spout, np.linspace((u(0.18, 0.35),), (u(0.08, 0.14),), 9), across=(0, 1, 0), ends="open"))

    if rng.random() < 0.85:
        rise = u(0.08, 0.4)
        dome = spline([(top * 1.05, 0), (top * 0.7, rise * 0.8), (0, rise)], 6)
        parts.append(move(revolve([(0, 0), *dome], outline), (0, 0, height)))
        parts.append(ball(u(0.1, 0.2, 3), (0, 0, height + rise + 0.08)))
    if rng.random() < 0.7:
        parts.append(rotate(handle(rng, profile, u(0.4, 0.8), (u(0.15, 0.35), u(0.75, 0.95))), 180))
    else:
        bow, peak = height * u(1.3, 1.5), height * u(1.6, 2.0)
        arch = [(-top, height - 0.1), (-top, bow), (0, peak), (top, bow), (top, height - 0.1)]
        path = np.insert(spline(arch, 21), 1, 0, axis=1)
        parts.append(tube(path, (u(0.06, 0.14), 0.06), across=(0, 1, 0)))
    return rotate(join(parts), u(0, 360))
