"""The explanation page: one complete file that shows every view or rotation with its evidence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shapecnn.errors import MeshError
from shapecnn.explanation import Explanation, explain_meshes
from shapecnn.models.model import resolve_model
from shapecnn.report.explanation import SIDE, explanation_page, overlay
from tests.report.parsed import Page
from tests.report.safe import require_safe

Explained = list[Explanation | MeshError]


@pytest.fixture(scope="module")
def paths(solids: Path) -> list[str]:
    return [str(solids / "round/cone.off"), str(solids / "nowhere.off")]


@pytest.fixture(scope="module")
def views(views_run: Path, paths: list[str]) -> Explained:
    return explain_meshes(resolve_model(str(views_run)), paths, asked="cylinder", device="cpu")


def test_every_view_is_there_in_order_twice_with_what_it_gave(views: Explained, paths: list[str]) -> None:
    page = Page(explanation_page(paths, views, "my run"))
    first, failed = page.sections
    assert len(page.pictures()) == 24
    assert all(picture.shape == (SIDE, SIDE, 3) for picture in page.pictures())
    explained = views[0]
    assert isinstance(explained, Explanation)
    assert explained.why_not is not None
    place = 0
    for evidence in (explained.evidence, explained.why_not):
        for number in range(12):
            told = f"{evidence.contributions[number]:+.2f} · {100 * evidence.shares[number]:.0f} %"
            place = first.index(f"{number} {30 * number}°, 30° up {told}", place)
    assert first.index("Why round") < first.index("Why round and not cylinder")
    for label, score in explained.ranked:
        assert f"{label} {100 * score:.1f} %" in first
    assert failed == "nowhere.off could not be used: there is no such file"


def test_it_needs_no_network_and_runs_nothing_but_its_own_script(views: Explained, paths: list[str]) -> None:
    source = explanation_page(['<script>alert("1")</script>', "b"], views, "<b>run</b>")
    page = require_safe(source)
    assert "b" not in {tag for tag, _ in page.elements}
    assert '<script>alert("1")</script>' in page.text


def test_it_is_the_same_every_time(views: Explained, paths: list[str]) -> None:
    assert explanation_page(paths, views, "run") == explanation_page(paths, views, "run")


def test_rotations_of_a_grid_are_drawn_as_grids(voxels_run: Path, paths: list[str]) -> None:
    explained = explain_meshes(resolve_model(str(voxels_run)), paths[:1], device="cpu")
    page = Page(explanation_page(paths[:1], explained, "run"))
    assert len(page.pictures()) == 4
    assert "the rotations contribute" in page.sections[0]
    assert "3 270° " in page.sections[0]


def test_angles_about_found_axes_are_told_to_be_such(views: Explained, paths: list[str]) -> None:
    (explained, _) = views
    assert isinstance(explained, Explanation)
    for found_axes in (True, False):
        page = Page(explanation_page(paths[:1], [replace(explained, found_axes=found_axes)], "run"))
        assert ("The angles of the views refer to these axes" in page.text) == found_axes


def test_red_is_for_and_blue_against() -> None:
    heat = np.zeros((SIDE, SIDE), np.float32)
    heat[:20], heat[-20:] = 1, -1
    drawn = overlay(np.full((SIDE, SIDE), 100, np.uint8), heat).astype(int)
    (red, green, blue), middle, (cold, _, colder) = drawn[0, 0], drawn[SIDE // 2, 0], drawn[-1, 0]
    assert red > green + 100 > blue
    assert colder > cold + 100
    assert len(set(middle)) == 1


def test_of_a_grid_the_cells_in_front_are_coloured() -> None:
    grid = np.zeros((6, 6, 6), np.uint8)
    grid[1:5, 1:5, 1:5] = 1
    heat = np.zeros(grid.shape, np.float32)
    heat[:, :, 4], heat[2, 2, 2] = grid[:, :, 4], -1  # the top, and a cell inside
    red, _, blue = overlay(grid, heat).astype(int).transpose(2, 0, 1)
    hot = red > blue + 50
    assert hot.any()
    assert not (blue > red).any()
    assert np.nonzero(hot)[0].max() < SIDE * 0.75 < np.nonzero(red < 255)[0].max()
