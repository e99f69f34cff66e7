"""``shapecnn map``: a Parquet file with a position, a picture and neighbours of each shape."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow.parquet
import pytest
from PIL import Image

from tests.cli.conftest import Command


def test_the_map_of_a_collection(world: Path, command: Command) -> None:
    pytest.importorskip("openTSNE")
    answer = command("map", "index", "map.parquet", "--json", "--workers", 1).json("map")
    table = pyarrow.parquet.read_table("map.parquet").to_pylist()
    assert answer["shapes"] == len(table) == 9
    assert answer["without_picture"] == 0
    assert Image.open(io.BytesIO(table[0]["picture"]["bytes"])).format == "PNG"
    for row, each in enumerate(table):
        assert -1 <= each["x"] <= 1
        assert row not in each["neighbors"]["ids"]
        assert len(each["neighbors"]["ids"]) == len(each["neighbors"]["distances"]) == 8
    again = command("map", "index", "map.parquet", "--workers", 1)  # its own file is replaced
    assert again.status == 0
    Path("map.parquet").write_text("mine")
    assert command("map", "index", "map.parquet").status == 2
    assert Path("map.parquet").read_text() == "mine"
