"""Random changes: the same for all views of a shape, undone by their opposites, empty where they let something in."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shapecnn.settings.stages import Augmentation
from shapecnn.training.augmentation import Change, apply_change, draw_change

VIEWS = np.arange(3 * 5 * 5, dtype=np.uint8).reshape(3, 5, 5)
GRIDS = np.random.default_rng(0).integers(0, 2, (2, 5, 5, 5), np.uint8)
ARRAYS = [VIEWS, GRIDS]
changes = st.builds(
    Change,
    flip=st.booleans(),
    turns=st.integers(0, 3),
    shift=st.tuples(*[st.integers(-3, 3)] * 3),
    stretch=st.just(()) | st.tuples(*[st.floats(0.5, 2)] * 3),
)


def test_nothing_is_changed_unless_asked() -> None:
    random = np.random.default_rng(0)
    assert {draw_change(Augmentation(), 2, random) for _ in range(50)} == {Change()}
    np.testing.assert_array_equal(apply_change(VIEWS, Change()), VIEWS)


def test_every_change_comes_up_about_as_often() -> None:
    random = np.random.default_rng(0)
    settings = Augmentation(flip=True, turn=True, shift=1)
    drawn = [draw_change(settings, 3, random) for _ in range(6000)]
    for counts in (
        Counter(change.flip for change in drawn),
        Counter(change.turns for change in drawn),
        *(Counter(change.shift[axis] for change in drawn) for axis in range(3)),
    ):
        share = np.array(list(counts.values())) / len(drawn) * len(counts)
        assert abs(share - 1).max() < 0.1
    assert [len({getattr(c, name) for c in drawn}) for name in ("flip", "turns")] == [2, 4]
    assert len({change.shift for change in drawn}) == 27


@pytest.mark.parametrize(("axes", "most"), [(2, 3), (3, 2)])
def test_shifts_reach_as_far_as_asked_and_no_farther(axes: int, most: int) -> None:
    random = np.random.default_rng(0)
    drawn = np.array([draw_change(Augmentation(shift=most), axes, random).shift for _ in range(500)])
    assert drawn.shape == (500, axes)
    assert (drawn.min(), drawn.max()) == (-most, most)


def test_stretching_by_hand() -> None:
    """The middle row of a picture is one of three, or one of one."""
    picture = np.repeat(np.array([9, 10, 20, 30, 9], np.uint8), 5).reshape(1, 5, 5)
    twice = apply_change(picture, Change(stretch=(2.0, 1.0)))
    assert twice[0, :, 0].tolist() == [10, 20, 20, 20, 30]
    half = apply_change(picture, Change(stretch=(0.5, 1.0)))
    assert half[0, :, 0].tolist() == [255, 9, 20, 9, 255]
    columns = apply_change(picture.transpose(0, 2, 1), Change(stretch=(1.0, 0.5)))
    assert columns[0, 0].tolist() == [255, 9, 20, 9, 255]
    assert picture[0, :, 0].tolist() == [9, 10, 20, 30, 9]  # the shape itself is as it was


@given(factors=st.tuples(*[st.floats(0.5, 1)] * 3))
def test_a_smaller_box_has_the_scaled_size(factors: tuple[float, ...]) -> None:
    grid = np.zeros((1, 30, 30, 30), np.uint8)
    grid[0, 3:27, 3:27, 3:27] = 1
    changed = apply_change(grid, Change(stretch=factors))[0]
    for axis, factor in enumerate(factors):
        extent = changed.any(axis=tuple({0, 1, 2} - {axis})).sum()
        assert abs(extent - 24 * factor) <= 1
    assert changed.sum() == np.prod([changed.any(axis=tuple({0, 1, 2} - {axis})).sum() for axis in range(3)])


def test_factors_are_spread_between_a_number_and_its_inverse() -> None:
    random = np.random.default_rng(0)
    drawn = np.array([draw_change(Augmentation(stretch=0.25), 3, random).stretch for _ in range(2000)])
    assert drawn.shape == (2000, 3)
    assert 0.8 <= drawn.min() < 0.802
    assert 1.248 < drawn.max() <= 1.25
    assert abs(np.log(drawn).mean()) < 0.01


def test_pictures_are_mirrored_left_and_right() -> None:
    np.testing.assert_array_equal(apply_change(VIEWS, Change(flip=True)), VIEWS[:, :, ::-1])


def test_grids_are_mirrored_upright() -> None:
    flipped = apply_change(GRIDS, Change(flip=True))
    np.testing.assert_array_equal(flipped, GRIDS[:, ::-1])
    np.testing.assert_array_equal(flipped.sum((1, 2)), GRIDS.sum((1, 2)))  # as much on each level of z


@pytest.mark.parametrize("turns", range(4))
def test_turns_are_about_z(turns: int) -> None:
    grid = np.zeros((1, 5, 5, 5), np.uint8)
    grid[0, 4, 2, 1] = 1  # on the x axis
    x, y = [(4, 2), (2, 4), (0, 2), (2, 0)][turns]  # counterclockwise from above
    assert np.argwhere(apply_change(grid, Change(turns=turns))).tolist() == [[0, x, y, 1]]


@pytest.mark.parametrize(("array", "empty"), [(VIEWS, 255), (GRIDS + 1, 0)])
def test_empty_space_is_shifted_in(array: NDArray[np.uint8], empty: int) -> None:
    axes = array.ndim - 1
    moved = apply_change(array, Change(shift=(2, -1, 0)[:axes]))
    assert (moved[:, :2] == empty).all()
    assert (moved[:, :, 4:] == empty).all()
    np.testing.assert_array_equal(moved[:, 2:, :4], array[:, :3, 1:])


def _for(array: NDArray[np.uint8], change: Change) -> Change:
    """Pictures have two axes, and are not turned."""
    axes = array.ndim - 1
    turns = change.turns if axes == 3 else 0
    return change._replace(shift=change.shift[:axes], stretch=change.stretch[:axes], turns=turns)


@given(change=changes, which=st.sampled_from([0, 1]))
def test_all_views_are_changed_alike(change: Change, which: int) -> None:
    array = ARRAYS[which]
    change = _for(array, change)
    changed = apply_change(array, change)
    assert (changed.shape, changed.dtype) == (array.shape, array.dtype)
    for view, alone in zip(changed, array, strict=True):
        np.testing.assert_array_equal(view, apply_change(alone[None], change)[0])


@given(change=changes, which=st.sampled_from([0, 1]))
def test_what_is_changed_stays_as_it_was(change: Change, which: int) -> None:
    array = ARRAYS[which].copy()
    apply_change(array, _for(array, change))
    np.testing.assert_array_equal(array, ARRAYS[which])


@given(turns=st.integers(0, 3), shift=st.tuples(*[st.integers(-9, 9)] * 3))
def test_a_grid_loses_only_what_leaves_it(turns: int, shift: tuple[int, ...]) -> None:
    inner = np.zeros((1, 9, 9, 9), np.uint8)
    inner[0, 3:6, 4, 3:5] = 1
    np.testing.assert_array_equal(
        apply_change(apply_change(inner, Change(turns=turns)), Change(turns=(4 - turns) % 4)), inner
    )
    moved = apply_change(inner, Change(shift=shift))
    places = np.argwhere(inner) + np.array([0, *shift])
    kept = places[((places >= 0) & (places < 9)).all(axis=1)]
    assert np.argwhere(moved).tolist() == kept.tolist()
