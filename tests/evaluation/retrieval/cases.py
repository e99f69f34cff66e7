"""What the tests of retrieval share: random cases, and lists ranked by a loop."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray


def directions(*degrees: float) -> NDArray[np.float64]:
    """Unit vectors in the plane: the nearer two angles, the more similar; exact enough for equal angles to tie."""
    angles = np.deg2rad(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def random(count: int, classes: int, size: int = 16) -> tuple[NDArray[np.float32], list[str]]:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(count, size)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return features, [f"class {k}" for k in generator.integers(0, classes, count)]


@st.composite
def items(draw: st.DrawFn, least: int = 0, most: int = 12) -> tuple[NDArray[np.float32], list[str]]:
    """Features on a circle, no two as near to a third, and labels of few classes."""
    places = draw(st.lists(st.integers(0, 40), min_size=least, max_size=most, unique=True))
    degrees = [25 * (place + 0.3) ** 0.5 for place in places]  # no two differences are the same
    labels = draw(st.lists(st.sampled_from("abc"), min_size=len(degrees), max_size=len(degrees)))
    return directions(*degrees).reshape(-1, 2), labels


@st.composite
def extremes(draw: st.DrawFn) -> tuple[NDArray[np.float32], list[str]]:
    """Items that are all of one class, each of its own, or each of its own but for two."""
    places = draw(st.lists(st.integers(0, 40), min_size=2, max_size=8, unique=True))
    degrees = [25 * (place + 0.3) ** 0.5 for place in places]
    own = [f"class {k}" for k in range(len(degrees))]
    pair = sorted(draw(st.lists(st.sampled_from(range(len(own))), min_size=2, max_size=2, unique=True)))
    but_for_two = [own[pair[0]] if k == pair[1] else label for k, label in enumerate(own)]
    return directions(*degrees), draw(st.sampled_from([["all"] * len(own), own, but_for_two]))


def hits(
    query: NDArray[np.float32], label: str, gallery: NDArray[np.float32], labels: list[str], without: int = -1
) -> list[bool]:
    """Whether each item of the ranked list is relevant: sorted by similarity to 10 decimals, then by row."""
    similarity = [math.fsum(float(a) * float(b) for a, b in zip(query, row, strict=True)) for row in gallery]
    rows = [row for row in range(len(gallery)) if row != without]
    rows.sort(key=lambda row: (-round(similarity[row], 10), row))
    return [labels[row] == label for row in rows]
