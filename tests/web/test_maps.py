"""The map on the page: computed in the background, then served as points, sheets and a Parquet file."""

from __future__ import annotations

import asyncio
import io
import json
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image
from starlette.requests import Request
from starlette.testclient import TestClient

from shapecnn.errors import MissingLibraryError
from shapecnn.search.projection import lay_out
from shapecnn.web import maps as module
from shapecnn.web.desk import Desk
from shapecnn.web.maps import SIDE, SMALL, MapDesk, _along_a_curve
from shapecnn.web.thumbnails import Thumbnails

pytest.importorskip("openTSNE")


def test_the_map_is_computed_and_served(client: TestClient) -> None:
    client.post("/api/map")
    for _ in range(600):
        state = client.get("/api/map").json()
        if state["state"] != "computing":
            break
        time.sleep(0.2)
    assert state["state"] == "ready", state
    content = client.get("/api/map/points").content
    assert len(content) == 9 * 24
    places = np.frombuffer(content, "<f4", 18).reshape(9, 2)
    assert np.abs(places).max() == pytest.approx(1)
    rows, classes, families, numbers = np.frombuffer(content, "<i4", offset=72).reshape(9, 4).T
    assert sorted(rows) == list(range(9))
    assert np.bincount(classes).tolist() == [3, 3, 3]
    assert families.max() < state["families"]
    assert numbers.tolist() == list(range(9))
    sheet = np.asarray(Image.open(io.BytesIO(client.get("/api/map/sheets/0.png").content)))
    assert sheet.shape == (SIDE * SMALL, SIDE * SMALL)
    assert (sheet[:SMALL, : 3 * SMALL] < 255).any()
    assert (sheet[3 * SMALL :] == 255).all()
    assert client.get("/api/map/sheets/1.png").status_code == 404
    table = pyarrow.parquet.read_table(io.BytesIO(client.get("/api/map.parquet").content))
    assert table.column_names == ["id", "label", "split", "family", "x", "y", "picture", "neighbors"]


def test_near_places_are_near_on_the_curve() -> None:
    places = np.array([(-0.9, -0.9), (0.9, 0.9), (-0.89, -0.9), (0.89, 0.9)], np.float32)
    assert _along_a_curve(places).tolist() == [0, 2, 3, 1]


def told(maps: MapDesk) -> str:
    """State of the map, when it is not being looked for or computed any more."""
    for _ in range(600):
        state: str = json.loads(bytes(asyncio.run(maps.state(Request({"type": "http"}))).body))["state"]
        if state != "computing":
            return state
        time.sleep(0.1)
    raise TimeoutError


def test_a_kept_map_is_there_without_being_asked_for(
    desk: Desk, thumbnails: Thumbnails, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    maps = MapDesk(desk, thumbnails)
    maps.load_kept()
    assert told(maps) == "absent"
    asyncio.run(maps.start(Request({"type": "http"})))
    assert told(maps) == "ready"
    again = MapDesk(desk, thumbnails)
    again.load_kept()
    assert told(again) == "ready"
    assert [path.parent.name for path in tmp_path.rglob("*") if path.is_file()] == ["maps"]


def test_a_map_that_is_asked_for_while_it_is_looked_for_is_computed(
    desk: Desk, thumbnails: Thumbnails, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    maps = MapDesk(desk, thumbnails)
    with maps._lock:  # the search for it cannot end before it is asked for
        maps.load_kept()
        maps._asked = True
    assert told(maps) == "ready"
    assert lay_out(desk.searcher).positions.shape == (9, 2)


def test_a_cache_folder_that_cannot_be_searched_is_one_without_the_map(
    desk: Desk, thumbnails: Thumbnails, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> Path:
        raise PermissionError

    monkeypatch.setattr(module, "map_file", refuse)
    maps = MapDesk(desk, thumbnails)
    maps.load_kept()
    assert told(maps) == "absent"


def test_why_there_is_no_map_names_no_folder(
    desk: Desk, thumbnails: Thumbnails, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise MissingLibraryError("cannot load /home/somebody/libtsne.so")

    monkeypatch.setattr(module, "lay_out", fail)
    maps = MapDesk(desk, thumbnails)
    asyncio.run(maps.start(Request({"type": "http"})))
    assert told(maps) == "failed"
    message = json.loads(bytes(asyncio.run(maps.state(Request({"type": "http"}))).body))["message"]
    assert "openTSNE" in message
    assert "/" not in message
