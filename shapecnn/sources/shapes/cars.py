"""Generate cars of length 1 with the nose towards +x: a body, a cabin and four wheels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from shapecnn.meshes.mesh import Mesh
from shapecnn.sources.shapes.parts import box, circle, hull, join, loft, move, pair, revolve, rotate, superellipse


class _Body(NamedTuple):
    """Proportions of a car in side view.

    Attributes:
        hood: Height of the hood above the underside of the body.
        deck: Height of the rear deck above the underside of the body.
        belt_front: x of the front end of the cabin at the belt line, which is the lower edge of the cabin.
        belt_rear: x of the rear end of the cabin at the belt line.
        roof_front: x of the front end of the roof.
        roof_rear: x of the rear end of the roof.
        roof: Height of the roof above the belt line.
    """

    hood: float
    deck: float
    belt_front: float
    belt_rear: float
    roof_front: float
    roof_rear: float
    roof: float


_BODIES = {
    "sedan": _Body(0.15, 0.165, 0.22, -0.33, 0.06, -0.2, 0.11),
    "hatchback": _Body(0.16, 0.19, 0.24, -0.47, 0.08, -0.4, 0.13),
    "off-road": _Body(0.2, 0.22, 0.24, -0.48, 0.12, -0.45, 0.15),
    "van": _Body(0.2, 0.22, 0.42, -0.49, 0.28, -0.48, 0.2),
    "pickup": _Body(0.2, 0.2, 0.22, -0.12, 0.1, -0.09, 0.14),
    "coupé": _Body(0.12, 0.16, 0.17, -0.42, 0.0, -0.15, 0.09),
    "open": _Body(0.14, 0.16, 0.2, 0.14, 0.12, 0.1, 0.09),  # a windscreen instead of a cabin
}


def car(rng: Generator) -> Mesh:
    """Build a random car: a sedan, hatchback, off-road car, van, pickup, coupé or open car.

    Args:
        rng: Random number generator.

    Returns:
        The mesh with the z axis up, the nose towards +x and length 1.
    """
    u = rng.uniform
    kind = str(rng.choice(list(_BODIES)))
    body = _Body(*np.array(_BODIES[kind]) * u(0.93, 1.07, 7))
    width, clearance, wheel = u(0.17, 0.22), u(0.035, 0.07), u(0.065, 0.09)
    deck = clearance + body.deck
    belt = clearance + min(body.hood, body.deck) - 0.01

    rear, front = np.clip([body.belt_rear, body.belt_front], -0.39, 0.39)
    x = [-0.5, -0.485, -0.4, rear, front, 0.4, 0.485, 0.5]
    top = np.repeat([body.deck, body.hood], 4) * np.array([0.8, 0.95, 1, 1, 1, 0.95, 0.8, 0.6])
    plan = width * np.array([0.85, 0.93, 1, 1, 1, 0.97, 0.9, 0.8])
    low = clearance + np.array([0.03, 0.01, 0, 0, 0, 0, 0.01, 0.03])
    parts = [hull(x, plan, low, clearance + top, superellipse(u(4, 10), 24)), _cabin(body, width, belt)]

    rim = [(0, 0.25), (0.55, 0.25), (0.6, 0), (0.95, 0), (1, 0.15), (1, 0.85), (0.95, 1), (0, 1)]
    tyre = rotate(revolve(np.array(rim) * (wheel, 0.06), circle(int(rng.choice([10, 16, 24])))), 90, "x")
    parts += [pair(move(tyre, (axle, 0.05 - width, wheel)), "y") for axle in (u(0.27, 0.33), -u(0.26, 0.33))]

    if kind == "pickup":  # the walls of the bed
        bed = body.belt_rear + 0.5
        side = box((bed, 0.02, 0.05), (bed / 2 - 0.5, width * 0.93, deck - 0.005))
        parts += [pair(side, "y"), box((0.02, width * 1.8, 0.05), (-0.48, 0, deck - 0.005))]
    elif kind == "open":
        for place in (-0.02, -0.2)[: rng.integers(1, 3)]:
            parts.append(pair(box((0.04, width * 0.6, 0.08), (place, width * 0.42, deck - 0.02), 0.8), "y"))
    elif rng.random() < 0.25:  # a roof rack
        middle = (body.roof_front + body.roof_rear) / 2
        parts.append(pair(box((0.25, 0.01, 0.02), (middle, width * 0.5, belt + body.roof)), "y"))
    if rng.random() < 0.25:  # a spoiler
        parts.append(box((0.06, width * 1.6, 0.012), (-0.46, 0, deck + 0.05)))
        parts.append(pair(box((0.03, 0.012, 0.06), (-0.46, width * 0.6, deck - 0.005)), "y"))
    if rng.random() < 0.5:  # mirrors
        parts.append(pair(box((0.02, 0.05, 0.03), (body.belt_front - 0.03, width * 0.98, belt + 0.01)), "y"))
    if rng.random() < 0.4:  # bumpers
        parts += [box((0.03, width * 1.8, 0.035), (end, 0, clearance + 0.02)) for end in (-0.5, 0.5)]
    return join(parts)


def _cabin(body: _Body, width: float, belt: float) -> Mesh:
    """Build the cabin of a car, from the belt line (at height ``belt``) up to a slightly domed roof."""
    outline = superellipse(8, 24)
    rings = np.empty((3, 24, 3))
    levels = [(body.belt_front, body.belt_rear), (body.roof_front, body.roof_rear)]
    levels.append((0.8 * body.roof_front + 0.2 * body.roof_rear, 0.2 * body.roof_front + 0.8 * body.roof_rear))
    for ring, (front, rear), share, rise in zip(rings, levels, (0.94, 0.76, 0.65), (0, 1, 1.1), strict=True):
        ring[:, 0] = (front + rear) / 2 + (front - rear) / 2 * outline[:, 0]
        ring[:, 1] = width * share * outline[:, 1]
        ring[:, 2] = belt + rise * body.roof
    return loft(rings)
