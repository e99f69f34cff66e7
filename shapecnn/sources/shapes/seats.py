"""Generate chairs, stools and benches, with the front towards −y and lengths in metres."""

from __future__ import annotations

from numpy.random import Generator

from shapecnn.meshes.mesh import Mesh
from shapecnn.sources.shapes.parts import SQUARE, box, circle, join, move, pair, prism, superellipse
from shapecnn.sources.shapes.rests import arms, back
from shapecnn.sources.shapes.stands import hoop, legs, panels, pedestal, sled, spread_legs


def chair(rng: Generator) -> Mesh:
    """Build a random armchair, or a chair with a backrest, often with armrests, on legs, a pedestal, a sled or panels.

    Args:
        rng: Random number generator.

    Returns:
        The mesh with the z axis up, in metres.
    """
    u = rng.uniform
    if rng.random() < 0.15:
        return _armchair(rng)
    width, depth, height, thickness = u(0.38, 0.7), u(0.38, 0.56), u(0.32, 0.55), u(0.012, 0.03)
    is_round = rng.random() < 0.12
    outline = circle(24) if is_round else (SQUARE, superellipse(4, 24))[rng.integers(2)]
    inner = 0.72 if is_round else 1.0  # fraction of width and depth within which parts meet the seat
    seat = prism(outline * (width / 2, depth / 2), u(0.02, 0.1), (0, 0, height), bevel=rng.choice([0, 0.15]))
    match rng.choice(["legs", "pedestal", "sled", "panels"], p=[0.65, 0.17, 0.1, 0.08]):
        case "legs":
            stand = legs(rng, width * inner, depth * inner, height, thickness)
        case "pedestal":
            stand = pedestal(rng, u(0.22, 0.32), height, thickness)
        case "sled":
            stand = sled(rng, width, depth, height, thickness)
        case _:
            stand = panels(rng, width, depth, height, thickness)
    rear = (depth * inner / 2 - thickness, height + 0.02)
    parts = [seat, stand, back(rng, width * inner, u(0.3, 0.75), thickness, rear)]
    if not is_round and rng.random() < 0.4:
        parts.append(arms(rng, width, depth, height, thickness))
    return join(parts)


def _armchair(rng: Generator) -> Mesh:
    """Build a random armchair from upholstered blocks."""
    u = rng.uniform
    width, depth, height, arm = u(0.6, 0.9), u(0.6, 0.85), u(0.3, 0.45), u(0.1, 0.2)
    pad = superellipse(6, 24) / 2
    side = prism(pad * (arm, depth), height + u(0.1, 0.3), (width / 2, 0, 0), bevel=0.08)
    rear = (0, depth / 2, 0)
    high = prism(pad * (width + arm, arm * 1.3), height + u(0.3, 0.6), rear, u(0.85, 1), bevel=0.06)
    cushion = prism(pad * (width - arm, depth), u(0.1, 0.18), (0, -0.03, height - 0.05), bevel=0.2)
    return join([pair(side, "x"), high, cushion, box((width, depth, height))])


def stool(rng: Generator) -> Mesh:
    """Build a random low or high stool without a back; a few high stools have a low backrest.

    Args:
        rng: Random number generator.

    Returns:
        The mesh with the z axis up, in metres.
    """
    u = rng.uniform
    width, height, thickness = u(0.28, 0.52), u(0.25, 0.85), u(0.012, 0.028)
    is_round = rng.random() < 0.55
    depth = width if is_round else width * u(0.65, 1.0)
    outline = circle(24) if is_round else superellipse(rng.choice([4, 8, 30]), 24)
    inner = 0.72 if is_round else 0.9
    seat = prism(outline * (width / 2, depth / 2), u(0.02, 0.12), (0, 0, height), bevel=rng.choice([0, 0.2]))
    parts = [seat]
    match rng.choice(["legs", "spread", "pedestal", "panels"], p=[0.35, 0.35, 0.22, 0.08]):
        case "legs":
            parts.append(legs(rng, width * inner, depth * inner, height, thickness))
        case "spread":
            parts.append(spread_legs(rng, width / 2, height, thickness))
        case "pedestal":
            parts.append(pedestal(rng, width * u(0.45, 0.6), height, thickness))
            if rng.random() < 0.5:  # a ring for the feet
                ring = [hoop(width * 0.4, thickness * 0.6), box((width * 0.8, thickness, thickness))]
                parts.append(move(join(ring), (0, 0, height * u(0.3, 0.5))))
        case _:
            parts.append(panels(rng, width, depth, height, thickness))
    if height > 0.65 and rng.random() < 0.25:
        rear = (depth * inner / 2 - thickness, height + 0.02)
        parts.append(back(rng, width * inner, u(0.12, 0.2), thickness, rear))
    return join(parts)


def bench(rng: Generator) -> Mesh:
    """Build a random bench with a seat of one or more boards, with or without a backrest and armrests.

    Args:
        rng: Random number generator.

    Returns:
        The mesh with the z axis up, in metres.
    """
    u = rng.uniform
    width, depth, height, thickness = u(0.85, 1.9), u(0.3, 0.55), u(0.36, 0.55), u(0.018, 0.035)
    boards = int(rng.choice([1, 1, 3, 4, 5]))
    board = box((width, depth / boards * (0.8 if boards > 1 else 1), u(0.02, 0.07)))
    parts = [move(board, (0, (i + 0.5) / boards * depth - depth / 2, height)) for i in range(boards)]
    match rng.choice(["legs", "panels", "sled", "both"], p=[0.4, 0.35, 0.1, 0.15]):
        case "legs":
            parts.append(legs(rng, width, depth, height, thickness))
        case "panels":
            parts.append(panels(rng, width, depth, height, thickness))
        case "sled":
            parts.append(sled(rng, width, depth, height, thickness))
        case _:
            parts.append(legs(rng, width, depth, height, thickness))
            parts.append(pair(box((2 * thickness, depth * 0.9, height), (width / 6, 0, 0)), "x"))
    if rng.random() < 0.55:
        parts.append(back(rng, width, u(0.3, 0.5), thickness, (depth / 2 - thickness, height + 0.02)))
        if rng.random() < 0.5:
            parts.append(arms(rng, width, depth, height, thickness))
    return join(parts)
