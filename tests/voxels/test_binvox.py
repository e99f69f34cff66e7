"""binvox against files written by hand, a reader in plain loops, trimesh, and damage of every kind."""

from __future__ import annotations

import io
import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from shapecnn.errors import ItemError
from shapecnn.voxels import binvox

HEADER = b"#binvox 1\ndim 2 2 2\ntranslate 0.0 0.0 0.0\nscale 1.0\ndata\n"

any_grid = arrays(bool, array_shapes(min_dims=3, max_dims=3, max_side=9))
cubic_grid = st.integers(1, 9).flatmap(lambda side: arrays(bool, (side, side, side)))


def read_slowly(data: bytes) -> NDArray[np.bool_]:
    """The format as its specification words it: cell (x, y, z) is number x·width·height + z·width + y."""
    file = io.BytesIO(data)
    assert file.readline() == b"#binvox 1\n"
    depth, height, width = (int(word) for word in file.readline().split()[1:])
    assert [file.readline().split()[0] for _ in range(3)] == [b"translate", b"scale", b"data"]
    cells = [value for value, count in zip(*[iter(file.read())] * 2, strict=True) for _ in range(count)]
    grid = np.zeros((depth, width, height), bool)
    for x, y, z in np.ndindex(*grid.shape):
        grid[x, y, z] = cells[x * width * height + z * width + y]
    return grid


@pytest.mark.parametrize(
    ("cell", "runs"),
    [((0, 1, 0), [0, 1, 1, 1, 0, 6]), ((0, 0, 1), [0, 2, 1, 1, 0, 5]), ((1, 0, 0), [0, 4, 1, 1, 0, 3])],
)
def test_y_is_fastest_then_z_then_x(cell: tuple[int, int, int], runs: list[int]) -> None:
    grid = np.zeros((2, 2, 2), bool)
    grid[cell] = True
    assert binvox.write(grid) == HEADER + bytes(runs)
    np.testing.assert_array_equal(binvox.read(HEADER + bytes(runs)), grid)


@pytest.mark.parametrize("side", [1, 2, 16, 30, 64])
def test_long_runs_are_cut(side: int) -> None:
    for grid in (np.zeros((side,) * 3, bool), np.ones((side,) * 3, bool)):
        data = binvox.write(grid)
        np.testing.assert_array_equal(binvox.read(data), grid)
        assert len(data.split(b"data\n", 1)[1]) == 2 * -(-(side**3) // 255)


@given(any_grid)
@example(np.arange(510).reshape(1, 1, 510) < 255)
@example(np.arange(511).reshape(1, 511, 1) < 256)
def test_what_is_written_is_read(grid: NDArray[np.bool_]) -> None:
    data = binvox.write(grid)
    back = binvox.read(data)
    assert back.dtype == np.bool_
    assert back.flags.c_contiguous
    np.testing.assert_array_equal(back, grid)
    np.testing.assert_array_equal(read_slowly(data), grid)


@given(cubic_grid)
def test_trimesh_reads_what_we_write_and_we_read_what_it_writes(grid: NDArray[np.bool_]) -> None:
    from trimesh.exchange.binvox import export_binvox, load_binvox
    from trimesh.voxel import VoxelGrid

    loaded = load_binvox(io.BytesIO(binvox.write(np.pad(grid, 1), translate=(1, -2, 0.5), scale=3)))
    np.testing.assert_array_equal(loaded.matrix, np.pad(grid, 1))
    np.testing.assert_allclose(loaded.translation, (1, -2, 0.5))
    np.testing.assert_allclose(loaded.scale, 3 / (len(grid) + 1))
    if grid.any():  # trimesh cannot export an empty grid
        np.testing.assert_array_equal(binvox.read(export_binvox(VoxelGrid(np.pad(grid, 1)))), np.pad(grid, 1))


def test_headers_of_other_writers_are_read() -> None:
    runs = bytes([1, 8])
    for header in (
        b"#binvox 1\ndim 2 2 2\ndata\n",
        b"#binvox 1\r\ndim  2\t2 2 \r\ndata\r\n",
        b"#binvox 1\n# made by hand\n\nscale 2\ntranslate 1 2 3\ndim 2 2 2\ndata\n",
    ):
        assert binvox.read(header + runs).all()


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "does not begin"),
        (b"#binvox 2\ndim 2 2 2\ndata\n\1\10", "does not begin"),
        (b"#binvox 1\ndata\n\1\10", "does not begin"),
        (b"#binvox 1\ndim 2 2\ndata\n\1\10", "does not begin"),
        (b"#binvox 1\ndim 2 2 -2\ndata\n\1\10", "does not begin"),
        (b"#binvox 1\ndim 2 2 2\n\1\10", "does not begin"),
        (b"#binvox 1\ndim 99999 1 1\ndata\n", "does not begin"),
        (b"#binvox 1\ndim 0 2 2\ndata\n", r"size of the grid is \(0, 2, 2\)"),
        (b"#binvox 1\ndim 1025 1 1\ndata\n", "must have 1 to 1024 cells"),
        (HEADER, "holds 0 cells, but its header declares 8"),
        (HEADER + bytes([1, 7]), "holds 7 cells"),
        (HEADER + bytes([1, 9]), "holds 9 cells"),
        (HEADER + bytes([1, 8, 0]), "the file is cut off"),
        (HEADER + bytes([1, 8]) + b"\n", "the file is cut off"),
        (HEADER + bytes([1, 4, 2, 4]), "a cell is 2"),
    ],
)
def test_damage_is_named(data: bytes, complaint: str) -> None:
    with pytest.raises(ItemError, match=complaint):
        binvox.read(data)


def test_a_file_cut_anywhere_is_refused() -> None:
    data = binvox.write(np.random.default_rng(0).random((5, 5, 5)) < 0.3)
    for length in range(len(data)):
        with pytest.raises(ItemError):
            binvox.read(data[:length])


@given(st.binary(max_size=60), st.booleans())
def test_anything_is_a_grid_or_refused(data: bytes, after_header: bool) -> None:
    try:
        grid = binvox.read(HEADER + data if after_header else data)
    except ItemError:
        return
    assert grid.shape == (2, 2, 2)


def test_no_memory_is_taken_on_the_word_of_a_header() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ItemError):
            binvox.read(b"#binvox 1\ndim 1024 1024 1024\ndata\n" + b"\0\377" * 1000)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
