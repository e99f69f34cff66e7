"""Build backrests and armrests for chairs and benches, with lengths in metres."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from shapecnn.meshes.mesh import Mesh
from shapecnn.sources.shapes.parts import box, circle, join, move, pair, prism, rotate, spline, superellipse, tube


def back(rng: Generator, width: float, height: float, thickness: float, at: tuple[float, float]) -> Mesh:
    """Build a random backrest that leans backwards: a panel, an oval, slats, rungs, a central board or a hoop.

    Args:
        rng: Random number generator.
        width: Width (x) of the backrest.
        height: Height of the backrest.
        thickness: Radius or half width of the bars.
        at: Position (y, z) of the lower end of the backrest.

    Returns:
        The mesh with the z axis up, in metres.
    """
    u = rng.uniform
    x = width / 2 - thickness
    posts = pair(tube([(x, 0, 0), (x, 0, height)], thickness, circle(8)), "x")
    rail = u(0.04, 0.12)
    top = box((width, 2 * thickness, rail), (0, 0, height - rail / 2))
    count = max(2, round(width / u(0.06, 0.13)))
    places = np.linspace(-x, x, count + 2)[1:-1]
    kinds = ["panel", "oval", "slats", "rungs", "splat", "hoop"]
    match rng.choice(kinds, p=[0.25, 0.1, 0.22, 0.18, 0.12, 0.13]):
        case "panel":
            gap = u(0, 0.25) * height
            panel = box((width * u(0.85, 1.0), 1.5 * thickness, height - gap), (0, 0, gap), u(0.8, 1.05))
            parts = [panel, posts] if gap > 0.05 else [panel]
        case "oval":
            outline = superellipse(u(2, 4), 24) * (width / 2, height * 0.4)
            disc = move(rotate(prism(outline, 1.5 * thickness), 90, "x"), (0, thickness, height * 0.6))
            parts = [disc, pair(box((0.03, thickness, height * 0.6), (width / 5, 0, 0)), "x")]
        case "slats":
            slat = box((width / count * 0.35, thickness, height))
            parts = [posts, top, *(move(slat, (place, 0, 0)) for place in places)]
        case "rungs":
            levels = np.linspace(height * 0.2, height * 0.9, int(rng.integers(2, 6)))
            parts = [posts, *(box((width - thickness, thickness, u(0.02, 0.06)), (0, 0, z)) for z in levels)]
        case "splat":
            parts = [posts, top, box((width * u(0.2, 0.4), thickness, height), top=u(0.7, 1.2))]
        case _:
            half = [(-x, 0, 0), (-x * 0.98, 0, height * 0.6), (-x * 0.6, 0, height * 0.95), (0, 0, height)]
            arch = spline([*half, *((-a, b, c) for a, b, c in half[2::-1])], 25)
            reach = np.interp(places, arch[:, 0], arch[:, 2])
            spindles = (([(p, 0, 0), (p, 0, z)]) for p, z in zip(places, reach, strict=True))
            parts = [tube(arch, thickness, circle(8), across=(0, 1, 0))]
            parts += [tube(spindle, thickness * 0.5, circle(6)) for spindle in spindles]
    return move(rotate(join(parts), -u(0, 18), "x"), (0, *at))


def arms(rng: Generator, width: float, depth: float, height: float, thickness: float) -> Mesh:
    """Build an armrest on each side of a seat: a bar on a post, or a bar on a solid panel.

    Args:
        rng: Random number generator.
        width: Width (x) of the seat.
        depth: Depth (y) of the seat.
        height: Height of the seat.
        thickness: Radius or half width of the bars.

    Returns:
        The mesh with the z axis up, in metres.
    """
    u = rng.uniform
    x, rise = width / 2, u(0.15, 0.28)
    rest = box((3 * thickness, depth * u(0.8, 1.05), 1.5 * thickness), (x, 0, height + rise))
    if rng.random() < 0.3:
        support = box((1.5 * thickness, depth * 0.95, rise), (x, 0, height))
    else:
        front = -depth * u(0.2, 0.45)
        post = [(x, front, height), (x, front - u(-0.04, 0.08), height + rise)]
        support = tube(post, thickness, circle(8), across=(1, 0, 0))
    return pair(join([rest, support]), "x")
