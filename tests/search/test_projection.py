"""The map of a collection: similar shapes are near each other, the same features give the same map, and it is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shapecnn.search import projection
from shapecnn.search.neighbours import nearest_rows
from shapecnn.search.projection import COMPONENTS, Layout, principal_components
from shapecnn.shared.similarity import cosines, unit


def clusters(count: int = 120, size: int = 30) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    kinds = np.arange(count) % 4
    centres = random.normal(size=(4, size))
    return unit((centres[kinds] + random.normal(size=(count, size)) / 5).astype(np.float32)), kinds


def test_principal_components_keep_distances_and_have_falling_variance() -> None:
    rows, _ = clusters()
    reduced = principal_components(rows, 100)
    assert reduced.shape == (120, 30)
    assert np.allclose(np.linalg.norm(reduced[3] - reduced[7]), np.linalg.norm(rows[3] - rows[7]), atol=1e-5)
    assert (np.diff(reduced.var(axis=0)) <= 1e-6).all()
    assert principal_components(rows, COMPONENTS)[:, :5] == pytest.approx(reduced[:, :5])


def test_nearest_rows_are_those_of_a_full_comparison_also_among_copies() -> None:
    rows, _ = clusters()
    distances = ((rows[:, None] - rows[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    assert np.array_equal(nearest_rows(rows, 5), np.argsort(distances, axis=1)[:, :5])
    copies = nearest_rows(np.ones((20, 3), np.float32), 4)
    assert copies.shape == (20, 4)
    assert all(len({*near.tolist()}) == 4 for near in copies)


def test_similar_shapes_are_near_each_other_and_the_map_is_the_same_again() -> None:
    pytest.importorskip("openTSNE")
    rows, kinds = clusters()
    positions, families, candidates = projection._place(principal_components(rows, COMPONENTS))
    assert np.abs(positions).max() == pytest.approx(1)
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (kinds[distances.argmin(axis=1)] == kinds).mean() > 0.95
    assert len({*families.tolist()}) > 3
    again = projection._place(principal_components(rows, COMPONENTS))
    assert np.array_equal(positions, again[0])
    neighbours, similarities = projection._most_similar(rows, candidates, cosines)
    assert neighbours.shape == similarities.shape == (120, projection.NEIGHBOURS)
    assert (np.diff(similarities, axis=1) <= 0).all()
    assert (neighbours != np.arange(120)[:, None]).all()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5])
def test_small_collections_have_a_map(count: int) -> None:
    pytest.importorskip("openTSNE")
    rows, _ = clusters()
    layout = projection._compute(rows[:count], cosines)
    assert layout.positions.shape == (count, 2)
    assert np.isfinite(layout.positions).all()
    assert layout.neighbours.shape[0] == layout.families.shape[0] == count


def test_a_kept_map_is_read_and_a_damaged_one_is_not(tmp_path: Path) -> None:
    layout = Layout(
        np.zeros((3, 2), np.float32), np.zeros(3, np.int32), np.zeros((3, 2), np.int32), np.ones((3, 2), np.float32)
    )
    content = projection._encode(layout)
    assert all(np.array_equal(one, other) for one, other in zip(projection._parse(content, 3), layout, strict=True))
    for wrong in (content[:-1], content[:80], b"", content[:200] + b"\1" + content[201:]):
        with pytest.raises(ValueError, match="damaged"):
            projection._parse(wrong, 3)
    with pytest.raises(ValueError, match="neighbours"):
        projection._parse(content, 4)
