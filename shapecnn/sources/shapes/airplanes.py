"""Generate airplanes with the nose towards +x and a fuselage of length 1."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from shapecnn.meshes.mesh import Mesh
from shapecnn.sources.shapes.parts import (
    Array,
    Vector,
    around,
    ball,
    box,
    circle,
    cylinder,
    hull,
    join,
    loft,
    move,
    pair,
    revolve,
    rotate,
    superellipse,
    tube,
)


def airplane(rng: Generator) -> Mesh:
    """Build a random airplane: an airliner, a propeller plane, a biplane, a delta-wing jet or a glider.

    Args:
        rng: Random number generator.

    Returns:
        The mesh with the z axis up, the nose towards +x and a fuselage of length 1.
    """
    u = rng.uniform
    radius = u(0.035, 0.085)
    x = [-0.5, -0.42, -0.25, 0.1, 0.35, 0.44, 0.48, 0.5]
    half = radius * np.array([0.12, 0.3, 0.75, 1, 1, 0.8, 0.5, 0.1])
    rise = radius * np.array([0.7, 0.6, 0.2, 0, 0, -0.1, -0.2, -0.25])
    parts = [hull(x, half, rise - half * u(0.9, 1.2), rise + half, superellipse(u(2, 3), 20))]

    span, chord, sweep = u(0.35, 0.6), u(0.1, 0.24), u(-0.02, 0.35)
    chords = (chord, chord * u(0.2, 1.0))
    if rng.random() < 0.15:  # a delta wing
        span, chords, sweep = u(0.25, 0.4), (u(0.45, 0.6), 0.05), u(0.3, 0.4)
    root = np.array([u(-0.05, 0.12), 0, radius * rng.choice([-0.6, 0, 0.8])])
    axis = np.array([-sweep, span, u(-0.02, 0.07)])
    wing = _blade(root, root + axis, chords)
    parts.append(pair(wing, "y"))
    if rng.random() < 0.12:  # a biplane
        gap = np.array([0, 0, 3 * radius])
        parts.append(pair(move(wing, gap), "y"))
        struts = (tube([foot, foot + gap], 0.006, circle(6)) for foot in (root + 0.2 * axis, root + 0.75 * axis))
        parts.append(pair(join(struts), "y"))

    parts += [_tail(rng, radius), *_engines(rng, radius, root, axis, chords[0])]
    if rng.random() < 0.3:
        parts.append(pair(_wheel((0.02, radius * 1.2, -2.3 * radius), radius * 0.4), "y"))
        parts.append(_wheel((0.38, 0, -2.3 * radius), radius * 0.4))
    if rng.random() < 0.3:
        parts.append(ball((0.09, radius * 0.6, radius * 0.7), (u(0.15, 0.3), 0, radius * 0.8)))
    return join(parts)


def _engines(rng: Generator, radius: float, root: Array, axis: Array, chord: float) -> list[Mesh]:
    """Build the engines of an airplane: jets under the wings or at the rear, propellers on wings or nose, or none."""
    places = [root + share * axis for share in np.linspace(0.35, 0.65, int(rng.integers(1, 3)))]
    size = radius * rng.uniform(0.4, 0.7)
    match rng.choice(["wing", "rear", "propellers", "nose", "none"], p=[0.35, 0.13, 0.2, 0.22, 0.1]):
        case "wing":
            return [pair(move(_jet(size), place + np.array([chord * 0.35, 0, -1.5 * size])), "y") for place in places]
        case "rear":
            return [pair(move(_jet(size), (-0.28, radius * 0.8 + size, radius * 0.4)), "y")]
        case "propellers":
            nacelle = ball((0.08, radius * 0.35, radius * 0.35))
            engine = join([nacelle, move(_propeller(rng, 0.07), (0.075, 0, 0))])
            return [pair(move(engine, place + np.array([chord * 0.4, 0, 0])), "y") for place in places]
        case "nose":
            return [move(_propeller(rng, rng.uniform(0.08, 0.14)), (0.49, 0, -radius * 0.2))]
        case _:
            return []


def _tail(rng: Generator, radius: float) -> Mesh:
    """Build the tail of an airplane: a fin with low or high stabilizers, a V tail, or a twin tail."""
    u = rng.uniform
    height, chord, sweep, span = u(0.1, 0.19), u(0.09, 0.15), u(0.0, 0.12), u(0.12, 0.22)
    up, out, back = height * np.array([0, 0, 1]), span * np.array([0, 1, 0]), sweep * np.array([-1, 0, 0])
    root = np.array([-0.42, 0, radius * 0.5])
    fin = _blade(root, root + back + up, (chord, chord * 0.6))
    match rng.choice(["low", "tee", "vee", "twin"], p=[0.6, 0.2, 0.1, 0.1]):
        case "low":
            return join([fin, pair(_blade(root, root + back + out, (chord, chord * 0.5)), "y")])
        case "tee":
            top = root + back + up
            return join([fin, pair(_blade(top, top + back / 2 + out, (chord * 0.8, chord * 0.4)), "y")])
        case "vee":
            return pair(_blade(root, root + back + 0.7 * out + up, (chord, chord * 0.5)), "y")
        case _:
            end = root + back + out
            fin = _blade(end - 0.4 * up, end + back / 2 + 0.8 * up, (chord, chord * 0.6))
            return pair(join([fin, _blade(root, end, (chord, chord * 0.8))]), "y")


def _blade(root: Array, tip: Array, chords: tuple[float, float]) -> Mesh:
    """Build a wing from root to tip, with elliptical cross-sections that are a tenth as thick as they are long.

    ``chords`` are the lengths of the cross-sections along x, at the root and at the tip.
    """
    span = (tip - root) * np.array([0, 1, 1])
    normal = np.cross(span / np.linalg.norm(span), (1, 0, 0))
    section = circle(14) / 2 @ np.stack([np.array([1, 0, 0]), 0.1 * normal])
    return loft([root + chords[0] * section, tip + chords[1] * section])


def _jet(radius: float) -> Mesh:
    """Build a jet engine along the x axis: a core in a casing that is open at both ends."""
    casing = [(0.7, 0), (1, 1.5), (0.9, 3.5), (0.8, 3.5), (0.6, 0), (0.7, 0)]
    engine = join([revolve(radius * np.array(casing)), cylinder(radius * 0.75, 1.5 * radius, (0, 0, radius))])
    return move(rotate(engine, 90, "y"), (-2 * radius, 0, 0))


def _propeller(rng: Generator, radius: float) -> Mesh:
    """Build a propeller on the x axis: a spinner with two to four twisted blades of length ``radius``."""
    blade = rotate(box((radius * 0.16, radius * 0.04, radius), top=0.6), 30)
    spinner = ball((radius * 0.15, radius * 0.15, radius * 0.3), points=10)
    blades = around(rotate(blade, 90, "y"), int(rng.integers(2, 5)))
    return rotate(join([blades, spinner]), 90, "y")


def _wheel(at: Vector, radius: float) -> Mesh:
    """Build a landing wheel with centre ``at``, and its strut to the fuselage."""
    x, y, z = at
    tyre = move(rotate(cylinder(radius, radius, section=circle(12)), 90, "x"), (x, y + radius / 2, z))
    return join([tyre, tube([at, (x, y * 0.6, 0)], radius * 0.25, circle(6), across=(1, 0, 0))])
