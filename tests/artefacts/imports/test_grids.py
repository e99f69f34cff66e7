"""Grids that others made: bits, labels and axes of an npz, binvox files, and damage."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapecnn.artefacts.imports.grids import GridMaker, open_binvox, open_npz, unpack_grid
from shapecnn.errors import CollectionError, ItemError, UsageError
from shapecnn.voxels import binvox


def marker(resolution: int, *cell: int) -> np.ndarray[Any, Any]:
    grid = np.zeros((resolution,) * 3, bool)
    grid[cell] = True
    return grid


def write_npz(
    path: Path, grids: list[Any], labels: list[int], classes: list[str], other: dict[str, Any] | None = None
) -> Path:
    voxels = np.packbits(np.reshape(grids, (len(grids), -1)), axis=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path, **{"voxels": voxels, "labels": np.array(labels), "classes": np.array(classes)} | (other or {})
    )
    return path


def made(maker: GridMaker, item: Any) -> np.ndarray[Any, Any]:
    (data,) = maker.open(item)[1]().contents
    return binvox.read(data)


@pytest.mark.parametrize("R", [2, 3, 5, 8, 30])
def test_an_npz_keeps_every_cell_where_it_is(R: int, tmp_path: Path) -> None:
    grids = np.random.default_rng(R).random((4, R, R, R)) < 0.5
    grids[:, 0, 0, 0] = True
    source = write_npz(tmp_path / "grids.npz", list(grids), [0, 1, 1, 0], ["bed", "chair"])
    items, maker = open_npz(source)
    assert maker.settings.resolution == R
    assert [item.id for item in items] == ["bed/00000.npz", "bed/00003.npz", "chair/00001.npz", "chair/00002.npz"]
    for item in items:
        np.testing.assert_array_equal(made(maker, item), grids[int(item.id[-9:-4])])


def test_the_last_axis_of_an_npz_is_up_in_a_binvox_too(tmp_path: Path) -> None:
    source = write_npz(tmp_path / "a.npz", [marker(4, 1, 2, 3)], [0], ["bed", "chair"])
    (item,), maker = open_npz(source)
    np.testing.assert_array_equal(np.argwhere(made(maker, item)), [[1, 2, 3]])


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("modelnet10-voxels-train", "train"), ("test", "test"), ("a_val", "val"),
        ("voxels", None), ("restrain", None), ("train-voxels", None),
    ],
)  # fmt: skip
def test_the_split_is_what_the_name_of_the_file_ends_in(name: str, split: str | None, tmp_path: Path) -> None:
    source = write_npz(tmp_path / f"{name}.npz", [marker(3, 0, 0, 0)], [0], ["night_stand"])
    (item,), _ = open_npz(source)
    assert (item.split, item.label) == (split, "night_stand")
    assert item.id == (f"night_stand/{split}/00000.npz" if split else "night_stand/00000.npz")


def test_an_empty_grid_fails(tmp_path: Path) -> None:
    source = write_npz(tmp_path / "a.npz", [np.zeros((3, 3, 3), bool), marker(3, 0, 0, 0)], [0, 0], ["bed"])
    items, maker = open_npz(source)
    with pytest.raises(ItemError, match="the grid is empty"):
        made(maker, items[0])
    assert items[0].path == f"{source}[0]"
    assert made(maker, items[1]).sum() == 1


@given(R=st.integers(1, 9), seed=st.integers(0, 99))
def test_unpacking_undoes_packing(R: int, seed: int) -> None:
    grid = np.random.default_rng(seed).random((R, R, R)) < 0.3
    np.testing.assert_array_equal(unpack_grid(np.packbits(grid).tobytes(), R), grid)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"voxels": np.zeros((1, 4), np.int64)}, r"voxels is int64 \(1, 4\)"),
        ({"voxels": np.zeros((1, 4, 1), np.uint8)}, r"voxels is uint8 \(1, 4, 1\)"),
        ({"voxels": np.zeros((0, 4), np.uint8)}, r"voxels is uint8 \(0, 4\)"),
        ({"voxels": np.zeros((1, 6), np.uint8)}, "not an array with the packed bits of an R × R × R grid"),
        ({"labels": np.zeros(2, np.int64)}, r"labels is int64 \(2,\)"),
        ({"labels": np.zeros(1)}, r"labels is float64"),
        ({"labels": np.array([-1])}, "labels range from -1"),
        ({"labels": np.array([2])}, "from 2 to 2, but there are 2 classes"),
        ({"classes": np.array([b"a", b"b"])}, r"classes is \|S1"),
        ({"classes": np.array(["a", "a"])}, "cannot be folder names"),
        ({"classes": np.array(["../a", "b"])}, "cannot be folder names"),
        ({"classes": np.array(["a", "b/c"])}, "cannot be folder names"),
        ({"classes": np.array(["a", ""])}, "cannot be folder names"),
        ({"classes": np.array(["a", {}], object)}, "cannot be read as npz: Object arrays"),
    ],
)
def test_wrong_arrays_are_refused_before_any_work(wrong: dict[str, Any], message: str, tmp_path: Path) -> None:
    source = write_npz(tmp_path / "a.npz", [marker(3, 0, 0, 0)], [0], ["a", "b"], wrong)
    with pytest.raises(UsageError, match=message):
        open_npz(source)


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("it was unpickled",)


def test_what_is_no_npz_is_refused_and_nothing_is_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with pytest.raises(UsageError, match="There is no file"):
        open_npz(path)
    single = io.BytesIO()
    np.save(single, np.zeros(3))
    whole = write_npz(tmp_path / "whole.npz", [marker(3, 0, 0, 0)], [0], ["bed"]).read_bytes()
    for data in (b"", b"PK", pickle.dumps(Trap()), single.getvalue(), whole[:-30], whole[:100]):
        path.write_bytes(data)
        with pytest.raises(UsageError, match="cannot be read as npz"):
            open_npz(path)


def test_a_missing_array_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", voxels=np.zeros((1, 4), np.uint8), classes=np.array(["a"]))
    with pytest.raises(UsageError, match=r"lacks an array: .*labels.* An npz needs voxels, labels and classes"):
        open_npz(tmp_path / "a.npz")


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shapecnn.artefacts.imports.grids.MAX_BYTES", 1000)
    source = write_npz(tmp_path / "a.npz", [np.ones((30, 30, 30), bool)], [0], ["bed"])
    assert zipfile.ZipFile(source).getinfo("voxels.npy").compress_size < 1000
    with pytest.raises(UsageError, match="would unpack to"):
        open_npz(source)


def write_binvox(path: Path, grid: np.ndarray[Any, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(binvox.write(grid, (1.0, 2.0, 3.0), 4.0))


def test_binvox_files_are_read_as_collections_are(tmp_path: Path) -> None:
    write_binvox(tmp_path / "in/chair/train/a.binvox", marker(5, 1, 2, 3))
    write_binvox(tmp_path / "in/bed/b.binvox", marker(5, 3, 2, 1))
    items, maker = open_binvox(tmp_path)
    assert [(item.id, item.label, item.split) for item in items] == [
        ("bed/b.binvox", "bed", None), ("chair/train/a.binvox", "chair", "train"),
    ]  # fmt: skip
    assert maker.settings.resolution == 5
    np.testing.assert_array_equal(made(maker, items[1]), marker(5, 1, 2, 3))


def test_grids_unlike_the_others_fail_alone(tmp_path: Path) -> None:
    for name in "bcd":
        write_binvox(tmp_path / f"bed/{name}.binvox", marker(4, 0, 0, 0))
    write_binvox(tmp_path / "bed/a.binvox", marker(5, 0, 0, 0))
    write_binvox(tmp_path / "bed/e.binvox", np.ones((4, 4, 5), bool))
    write_binvox(tmp_path / "bed/f.binvox", np.zeros((4, 4, 4), bool))
    (tmp_path / "bed/g.binvox").write_bytes(binvox.write(marker(4, 0, 0, 0))[:-1])
    items, maker = open_binvox(tmp_path)
    assert maker.settings.resolution == 4
    complaints = {
        0: "5 × 5 × 5 cells, but most grids have 4 × 4 × 4",
        4: "4 × 4 × 5 cells",
        5: "the grid is empty",
        6: "its last run of equal cells has no length",
    }
    for i, item in enumerate(items):
        if i in complaints:
            with pytest.raises(ItemError, match=complaints[i]):
                made(maker, item)
        else:
            assert made(maker, item).sum() == 1


def test_folders_without_a_grid(tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match=r"holds no files \(\.binvox\)"):
        open_binvox(tmp_path)
    (tmp_path / "a.binvox").write_bytes(b"#binvox 2")
    with pytest.raises(UsageError, match=r"None of the .* files"):
        open_binvox(tmp_path)
