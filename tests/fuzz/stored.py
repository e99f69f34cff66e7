"""What others may have written where shapecnn keeps what it has made, and what people write for it: configs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from shapecnn.artefacts.manifest import Entry
from shapecnn.errors import StoredDataError, visible
from shapecnn.search.index import IndexedShape
from shapecnn.settings.yaml_reader import DEEPEST, YamlError, read_yaml
from shapecnn.storage.arrays import array_of, read_arrays
from shapecnn.storage.checksums import parse_sums, sums_bytes
from shapecnn.storage.sealed import Sealed
from shapecnn.storage.tables import read_table, table_bytes
from tests.fuzz.checks import LONGEST, refused, require

STORED = Sealed(Path("run"), {}, "Make it again.")
"""A folder whose files are as they were written: what others wrote there is refused by ValueError alone."""


def read_stored_table(data: bytes, folder: Path) -> str:
    """As a manifest and as the shapes of an index."""
    outcomes = []
    for row in (Entry, IndexedShape):
        try:
            with STORED.validating("a.parquet"):
                rows = read_table(row, data)
        except StoredDataError as error:
            outcomes.append(refused(error))
            continue
        require(read_table(row, table_bytes(row, rows)) == rows, "other rows are read than written")
        outcomes.append("read")
    return min(outcomes)


def read_stored_arrays(data: bytes, folder: Path) -> str:
    try:
        with STORED.validating("a.safetensors"):
            matrix = array_of(read_arrays(data), "matrix", np.float32, (None, 4))
    except StoredDataError as error:
        return refused(error)
    require(matrix.dtype == np.float32 and matrix.shape[1:] == (4,) and np.isfinite(matrix).all(), "another matrix")
    return "read"


def read_sums(data: bytes, folder: Path) -> str:
    try:
        with STORED.validating("SHA256SUMS"):
            sums = parse_sums(data)
    except StoredDataError as error:
        return refused(error)
    require(sums_bytes(sums) == data, "other sums are read than written")
    for name in sums:
        require((folder / name).resolve().is_relative_to(folder.resolve()), f"a file outside: {name!r}")
    return "read"


def read_config(data: bytes, folder: Path) -> str:
    try:
        value = read_yaml(data.decode("utf-8", "replace"))
    except YamlError as error:
        message = str(error)
        require(message and len(message) <= LONGEST, f"a message of {len(message)} characters: {message[:200]!r}…")
        require(visible(message) == message, f"the message is no line of text: {message!r}")
        return "refused: yaml"
    require(_plain(value), f"it holds what is in no core schema: {value!r}")
    return "read"


def _plain(value: Any, depth: int = 0) -> bool:
    """Whether it is made of the types of the core schema, and no deeper than is allowed."""
    if isinstance(value, dict):
        inner = [*value.values()] if all(type(key) is str for key in value) else [object()]
    elif isinstance(value, list):
        inner = value
    else:
        return value is None or type(value) in (bool, int, float, str)
    return depth <= DEEPEST and all(_plain(one, depth + 1) for one in inner)
