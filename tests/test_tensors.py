"""Tensors written row by row: the bytes that safetensors itself writes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from shapecnn.tensors import Rows, write_tensors


@pytest.mark.parametrize(("count", "views", "size"), [(0, 0, 0), (1, 1, 1), (3, 12, 5), (40, 2, 1280)])
def test_the_bytes_are_those_of_safetensors(tmp_path: Path, count: int, views: int, size: int) -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(count, size)).astype(np.float32)
    alone = random.normal(size=(count, views, size)).astype(np.float16)
    digest = write_tensors(
        tmp_path / "file",
        {"features": Rows("F32", features.shape, features), "views": Rows("F16", alone.shape, iter(alone))},
    )
    data = (tmp_path / "file").read_bytes()
    assert data == save({"features": features, "views": alone})
    assert digest == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("shape", "message"), [((3, 4), "has 2 rows, not 3"), ((1, 4), "has 2 rows, not 1"), ((2, 5), "of \\(2, 5\\)")]
)
def test_rows_that_the_shape_denies_are_an_error(tmp_path: Path, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_tensors(tmp_path / "file", {"features": Rows("F32", shape, np.ones((2, 4), np.float32))})


def test_a_row_of_more_precision_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_tensors(tmp_path / "file", {"views": Rows("F16", (2, 4), np.ones((2, 4), np.float32))})
