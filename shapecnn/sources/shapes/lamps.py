"""Generate lamps, with lengths in metres: a shade on a foot, a tall stem, a tripod, a jointed arm or a bow."""

from __future__ import annotations

from numpy.random import Generator

from shapecnn.meshes.mesh import Mesh
from shapecnn.sources.shapes.parts import (
    SQUARE,
    around,
    ball,
    circle,
    cylinder,
    join,
    move,
    revolve,
    rotate,
    spline,
    tube,
)
from shapecnn.sources.shapes.stands import baluster


def lamp(rng: Generator) -> Mesh:
    """Build a random lamp: a table lamp, a floor lamp, a tripod lamp, a desk lamp or an arc lamp.

    Args:
        rng: Random number generator.

    Returns:
        The mesh with the z axis up, in metres.
    """
    u = rng.uniform
    match rng.choice(["table", "floor", "tripod", "desk", "arc"], p=[0.4, 0.22, 0.13, 0.17, 0.08]):
        case "table":
            height = u(0.32, 0.6)
            sides = int(rng.choice([4, 6, 24]))
            base = [baluster([u(0.07, 0.13), *u(0.03, 0.13, 3), 0.02], height, circle(sides))]
            shade = move(_shade(rng, u(0.13, 0.24)), (0, 0, height))
        case "floor":
            height = u(1.2, 1.8)
            base = [cylinder(u(0.12, 0.2), u(0.02, 0.06), top=u(0.4, 1)), cylinder(u(0.012, 0.03), height)]
            shade = move(_shade(rng, u(0.16, 0.3)), (0, 0, height))
        case "tripod":
            height = u(0.6, 1.4)
            leg = tube([(u(0.2, 0.4), 0, 0), (0.03, 0, height)], u(0.012, 0.025), circle(8))
            base = [around(leg, 3)]
            shade = move(_shade(rng, u(0.16, 0.3)), (0, 0, height))
        case "desk":
            elbow, wrist = (-u(0.02, 0.2), 0, u(0.2, 0.35)), (u(0.05, 0.3), 0, u(0.4, 0.6))
            lower, upper = (tube(rod, u(0.008, 0.016), circle(8)) for rod in ([(0, 0, 0.02), elbow], [elbow, wrist]))
            plate = cylinder(u(0.08, 0.13), u(0.02, 0.05), section=SQUARE if rng.random() < 0.3 else circle())
            base = [plate, lower, ball((0.02, 0.02, 0.02), elbow, 10), upper]
            shade = move(rotate(_shade(rng, u(0.07, 0.12), ("cone", "dome")), u(-50, -10), "y"), wrist)
        case _:
            reach, height = u(0.6, 1.1), u(1.3, 1.8)
            bow = [(0, 0, 0), (0, 0, height * 0.7), (reach * 0.4, 0, height), (reach, 0, height * 0.8)]
            base = [cylinder(u(0.15, 0.22), 0.05), tube(spline(bow, 21), 0.015, across=(0, 1, 0))]
            shade = move(_shade(rng, u(0.14, 0.22)), (reach, 0, height * 0.72))
    return join([*base, shade])


def _shade(rng: Generator, radius: float, kinds: tuple[str, ...] = ("cone", "cone", "drum", "dome", "globe")) -> Mesh:
    """Build a lamp shade around the origin: a globe, or an open cone, drum or dome over a bulb."""
    u = rng.uniform
    tall = radius * u(0.8, 1.5)
    section = circle(int(rng.choice([4, 6, 16, 28, 28])))
    match rng.choice(kinds):
        case "cone":
            shade = revolve([(radius, -tall / 3), (radius * u(0.3, 0.7), tall * 2 / 3)], section)
        case "drum":
            shade = revolve([(radius, -tall / 3), (radius * u(0.9, 1.0), tall * 2 / 3)], section)
        case "dome":
            shade = revolve(spline([(radius, 0), (radius * 0.8, tall * 0.35), (0, tall * 0.6)], 9))
        case _:
            return ball((radius * 0.8,) * 3, (0, 0, radius * 0.6), 24)
    bulb = ball((radius * 0.25, radius * 0.25, radius * 0.35), (0, 0, tall * 0.2), 12)
    return join([shade, bulb])
