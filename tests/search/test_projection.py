"""The map of a collection: similar shapes are near each other, the same features give the same map, and it is kept."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from shapecnn.models import adapted_space
from shapecnn.search import projection
from shapecnn.search.neighbours import nearest_rows
from shapecnn.search.projection import COMPONENTS, Layout, map_file, principal_components
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


@pytest.mark.parametrize(
    "rows",
    [
        np.ones((70, 8), np.float32),
        np.repeat(np.eye(2, 8, dtype=np.float32), 50, axis=0),
        np.concatenate([np.ones((99, 8)), np.zeros((1, 8))]).astype(np.float32),
    ],
    ids=["all equal", "two kinds", "one other"],
)
def test_copies_have_a_map(rows: np.ndarray) -> None:
    pytest.importorskip("openTSNE")
    layout = projection._compute(rows, cosines)
    assert np.isfinite(layout.positions).all()
    assert np.abs(layout.positions).max() <= 1


def searcher(features: np.ndarray, settings: str = "a") -> Any:
    index = SimpleNamespace(features=features, record=SimpleNamespace(settings={"hash": settings}))
    return type("Opened", (SimpleNamespace,), {"__len__": lambda _: len(features)})(
        index=index, compared=lambda: (cosines, features)
    )


def test_a_kept_map_belongs_to_one_way_of_comparing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, _ = clusters()
    first = map_file(searcher(rows), tmp_path)
    assert map_file(searcher(rows.copy()), tmp_path) == first
    assert map_file(searcher(rows, "adapt=false"), tmp_path) != first
    assert map_file(searcher(rows[1:]), tmp_path) != first
    monkeypatch.setattr(adapted_space, "VERSION", 99)
    assert map_file(searcher(rows), tmp_path) != first


def test_the_maps_that_were_used_last_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projection, "KEPT", 2)
    rows, _ = clusters(8)
    (tmp_path / "another file").touch()
    one, two, three = (searcher(rows[:count]) for count in (1, 0, 1))
    three.index.record.settings["hash"] = "b"
    for age, each in enumerate((one, two)):
        projection.lay_out(each, tmp_path)
        os.utime(map_file(each, tmp_path), (age, age))
    projection.lay_out(one, tmp_path)
    projection.lay_out(three, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "another file", map_file(one, tmp_path).name, map_file(three, tmp_path).name
    }  # fmt: skip
