"""Arrays written row by row, the bytes that safetensors itself writes; viewed where they lie; read with checks."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save

from shapecnn.storage.arrays import Kind, Rows, array_of, read_arrays, require_numbers, view_arrays, write_arrays
from shapecnn.storage.reading import map_stored


@pytest.mark.parametrize(("count", "views", "size"), [(0, 0, 0), (1, 1, 1), (3, 12, 5), (40, 2, 1280)])
def test_the_bytes_are_those_of_safetensors(tmp_path: Path, count: int, views: int, size: int) -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(count, size)).astype(np.float32)
    alone = random.normal(size=(count, views, size)).astype(np.float16)
    flags = random.integers(0, 2, count, np.uint8)
    digest = write_arrays(
        tmp_path / "file",
        {
            "features": Rows("F32", features.shape, features),
            "views": Rows("F16", alone.shape, iter(alone)),
            "distinct": Rows("U8", flags.shape, flags),
        },
    )
    data = (tmp_path / "file").read_bytes()
    assert data == save({"features": features, "views": alone, "distinct": flags})
    assert digest == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 4), "must have 3 rows, but was given 2"),
        ((1, 4), "must have 1 rows, but was given 2"),
        ((2, 5), "of shape \\(2, 5\\) was given a row of shape \\(4,\\)"),
    ],
)
def test_rows_that_the_shape_denies_are_an_error(tmp_path: Path, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_arrays(tmp_path / "file", {"features": Rows("F32", shape, np.ones((2, 4), np.float32))})


def test_a_row_of_more_precision_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_arrays(tmp_path / "file", {"views": Rows("F16", (2, 4), np.ones((2, 4), np.float32))})


HELD: dict[str, tuple[Kind, tuple[int, ...]]] = {"features": ("F32", (3, 5)), "views": ("F16", (3, 2, 5))}


def held() -> tuple[bytes, dict[str, NDArray[np.floating]]]:
    random = np.random.default_rng(0)
    arrays = {
        "features": random.normal(size=(3, 5)).astype(np.float32),
        "views": random.normal(size=(3, 2, 5)).astype(np.float16),
    }
    return save(arrays), arrays


def test_what_was_written_is_seen_where_it_lies(tmp_path: Path) -> None:
    content, arrays = held()
    (tmp_path / "file").write_bytes(content)
    mapped = map_stored(tmp_path / "file")
    for data in (content, mapped):
        seen = view_arrays(data, HELD)
        assert {*seen} == {*arrays}
        for name, array in arrays.items():
            np.testing.assert_array_equal(seen[name], array)
            assert not seen[name].flags.writeable
            assert not seen[name].flags.owndata


def test_content_of_another_layout_is_refused() -> None:
    content, arrays = held()
    others = [
        b"",
        content[:-1],
        content + b"\0",
        save({"features": arrays["features"]}),
        save({**arrays, "more": arrays["views"]}),
        save({"features": arrays["features"].T.copy(), "views": arrays["views"]}),
        save({"features": arrays["features"].view(np.int32), "views": arrays["views"]}),
        (10**18).to_bytes(8, "little") + content[8:],
    ]
    for other in others:
        with pytest.raises(ValueError, match="the file does not hold exactly these arrays: features F32"):
            view_arrays(other, HELD)
    with pytest.raises(ValueError, match="the file does not hold exactly these arrays: features F32"):
        view_arrays(content, {**HELD, "features": ("F32", (10**30, 5))})


def test_what_is_read_is_what_was_written() -> None:
    content, arrays = held()
    loaded = read_arrays(content)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array_of(loaded, name, array.dtype.type, array.shape), array)
    assert array_of(loaded, "features", np.float32, (None, 5)).shape == (3, 5)


@pytest.mark.parametrize(
    ("name", "dtype", "shape", "message"),
    [
        ("more", np.float32, (3, 5), "^the array more is missing$"),
        ("features", np.float16, (3, 5), r"^the array features is float32 \(3, 5\), not float16 \(3, 5\)$"),
        ("features", np.float32, (None, 4), r"^the array features is float32 \(3, 5\), not float32 \(any, 4\)$"),
        ("features", np.float32, (3, 5, 1), "^the array features is float32"),
        ("features", np.float32, (3, 5), "^the array features contains NaN or infinity$"),
    ],
)
def test_an_array_that_does_not_fit_is_refused(
    name: str, dtype: type[np.floating], shape: tuple[int | None, ...], message: str
) -> None:
    _, arrays = held()
    arrays["features"][2, 4] = np.nan
    with pytest.raises(ValueError, match=message):
        array_of(arrays, name, dtype, shape)


def test_what_is_no_safetensors_file_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^the file is not in the safetensors format: "):
        read_arrays(b"no file of arrays")


def test_every_float16_that_is_no_number_is_found() -> None:
    """All 65,536 of them, against numpy."""
    numbers = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = np.isfinite(numbers)
    require_numbers("views", numbers[finite])
    require_numbers("views", np.zeros((0, 12, 5), np.float16))
    for place in np.flatnonzero(~finite):
        with pytest.raises(ValueError, match="contains NaN or inf"):
            require_numbers("views", numbers[place : place + 1])


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_a_number_is_checked_wherever_it_is(kind: type[np.float16 | np.float32]) -> None:
    numbers = np.zeros((3, 1 << 18), kind)  # longer than what is checked at a time
    for place in (0, (1 << 18) - 1, 1 << 18, 3 * (1 << 18) - 1):
        numbers.reshape(-1)[place] = np.nan
        with pytest.raises(ValueError, match="NaN or infinity"):
            require_numbers("views", numbers)
        numbers.reshape(-1)[place] = -1
    require_numbers("views", numbers)
