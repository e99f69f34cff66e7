"""A metric as it is kept: back as it was, for its own weights alone, and nothing that is forged leads to no number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from shapecnn.errors import MismatchError, StoredDataError
from shapecnn.models.metric import METRIC, PROJECTION, Projection, metric_bytes, read_metric
from shapecnn.shared.similarity import unit
from shapecnn.storage.publishing import publish
from shapecnn.storage.sealed import publish_beside

WEIGHTS = "0" * 64
C, D, RANK = 3, 5, 2


def learned() -> Projection:
    random = np.random.default_rng(0)
    matrix, centre, anchors = (random.normal(size=size).astype(np.float32) for size in ((RANK, D), D, (C, RANK)))
    return Projection.of(matrix, centre, unit(anchors), 0.5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run with a metric."""
    publish(tmp_path / "run", {"model.json": b"{}"})
    publish_beside(tmp_path / "run", metric_bytes(learned(), WEIGHTS, {"size": RANK}), "")
    return tmp_path / "run"


def refused(folder: Path, size: int = D) -> str:
    with pytest.raises(StoredDataError) as caught:
        read_metric(folder, WEIGHTS, size)
    assert str(caught.value).endswith(f"To learn the metric anew: shapecnn metric {folder} --data DIR")
    return str(caught.value)


def forge(folder: Path, **arrays: Any) -> None:
    """Replace some of its arrays; leave out those that are None."""
    changed = {**load((folder / PROJECTION).read_bytes()), **arrays}
    content = save({name: np.ascontiguousarray(array) for name, array in changed.items() if array is not None})
    publish_beside(folder, {PROJECTION: content}, "")


def test_it_comes_back_as_it_was(folder: Path) -> None:
    found = read_metric(folder, WEIGHTS, D)
    assert found is not None
    metric, described = found
    assert described == {"weights": WEIGHTS, "size": RANK}
    for name in ("matrix", "centre", "anchors"):
        np.testing.assert_array_equal(getattr(metric, name), getattr(learned(), name))
    assert (metric.power, metric.digest) == (learned().power, learned().digest)


def test_a_run_without_one_has_none(tmp_path: Path) -> None:
    publish(tmp_path, {"model.json": b"{}"})
    assert read_metric(tmp_path, WEIGHTS, D) is None


def test_it_belongs_to_its_weights(folder: Path) -> None:
    with pytest.raises(
        MismatchError, match="weights with hash 00000000, and the weights of the run have hash 11111111"
    ):
        read_metric(folder, "1" * 64, D)


def test_another_version_is_told(folder: Path) -> None:
    later = (folder / METRIC).read_bytes().replace(b'"schema_version": 1', b'"schema_version": 2')
    publish_beside(folder, {METRIC: later}, "")
    with pytest.raises(
        StoredDataError, match=r"made by another version of shapecnn\. Use that version to read the file"
    ):
        read_metric(folder, "0" * 64, D)


def test_what_is_no_safetensors_file_is_refused(folder: Path) -> None:
    header = b'{"matrix": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}'  # which numpy does not know
    for content in (b"", b"\xff" * 100, len(header).to_bytes(8, "little") + header + b"\0\0"):
        publish_beside(folder, {PROJECTION: content}, "")
        assert "the file is not in the safetensors format" in refused(folder)


@pytest.mark.parametrize("name", ["matrix", "centre", "anchors", "power"])
def test_each_array_is_there_and_holds_numbers_of_its_size(folder: Path, name: str) -> None:
    array = load((folder / PROJECTION).read_bytes())[name]
    for changed in (
        None,
        array.astype(np.float64),
        array[..., None],
        array[..., :0],
        array[..., [0] * 9],
        array * np.nan,
    ):
        forge(folder, **{name: changed})
        assert name in refused(folder)
    assert "matrix" in refused(folder, D + 1)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"power": [0.0]}, "the power is 0"),
        ({"power": [-0.5]}, "the power is -0.5"),
        ({"power": [1.5]}, "the power is 1.5"),
        ({"anchors": np.full((C, RANK), 1.0)}, "the anchors are not of unit length"),
        ({"anchors": np.full((C, RANK), 3e38)}, "the anchors are not of unit length"),
        ({"matrix": np.full((RANK, D), 3e38)}, "the matrix or centre has huge values"),
        ({"centre": np.full(D, 3e38)}, "the matrix or centre has huge values"),
        ({"matrix": np.full((RANK, D), 1e10), "centre": np.full(D, 1e10)}, "the matrix or centre has huge values"),
    ],
)
def test_numbers_that_lead_to_none_are_refused(folder: Path, arrays: dict[str, Any], message: str) -> None:
    forge(folder, **{name: np.array(array, np.float32) for name, array in arrays.items()})
    assert message in refused(folder)


def test_numbers_as_large_as_they_may_be_lead_to_numbers(folder: Path) -> None:
    forge(folder, matrix=np.full((RANK, D), 9e16, np.float32), centre=np.full(D, -1, np.float32))
    found = read_metric(folder, WEIGHTS, D)
    assert found is not None
    for feature in (*np.eye(D, dtype=np.float32), np.full(D, 1e10, np.float32), np.zeros(D, np.float32)):
        assert np.isfinite(found[0](feature)).all()
