"""The map of the collection on the page: computed in the background, and drawn with sheets of thumbnails."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from typing import Any, Literal

import anyio.to_thread
import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from shapecnn.api.records import SCHEMA_VERSION
from shapecnn.errors import MissingLibraryError, UsageError
from shapecnn.search.projection import Layout, lay_out, map_file
from shapecnn.storage.map_table import map_bytes
from shapecnn.web import schemas
from shapecnn.web.addresses import Address, Parameter
from shapecnn.web.desk import Desk
from shapecnn.web.limits import RefusedError
from shapecnn.web.pictures import map_rows
from shapecnn.web.replies import as_json, as_png, to_save
from shapecnn.web.thumbnails import Thumbnails

SIDE = 6  # shapes on one side of a sheet of thumbnails
SMALL = 48  # width and height of a thumbnail on a sheet, in pixels

NO_LIBRARY = 'A map needs openTSNE, which cannot be loaded: pip install "shapecnn[web]", and start the server again.'

State = Literal["absent", "computing", "ready", "failed"]


class MapDesk:
    """Answers requests about the map of an index.

    Args:
        desk: The index.
        thumbnails: Draws the small pictures of the sheets.
    """

    def __init__(self, desk: Desk, thumbnails: Thumbnails) -> None:
        self._desk, self._thumbnails = desk, thumbnails
        self._layout: Layout | None = None
        self._order: NDArray[np.int64] = np.zeros(0, np.int64)
        self._state: State = "absent"
        self._started, self._message, self._asked = 0.0, "", False
        self._lock = threading.Lock()

    def addresses(self, of: Parameter) -> list[Address]:
        """Return the addresses of the map.

        Args:
            of: Parameter of pictures that the browser keeps.
        """
        return [
            Address("GET", "/api/map", self.state, "State of the map.", schemas.MapState),
            Address("POST", "/api/map", self.start, "Compute the map in the background.", schemas.MapState, status=202),
            Address("GET", "/api/map/points", self.points,
                    "N shapes as N × (x, y) float32, then N × (row, class or -1, family, number on the sheets) int32.",
                    "application/octet-stream"),
            Address("GET", "/api/map/sheets/{number:number}.png", self.sheet, "Thumbnails of near shapes.",
                    "image/png", [of]),
            Address("GET", "/api/map.parquet", self.table, "The map as a Parquet file, without pictures.",
                    "application/vnd.apache.parquet"),
        ]  # fmt: skip

    async def state(self, _request: Request) -> Response:
        """Tell the state of the map."""
        return self._tell()

    async def start(self, _request: Request) -> Response:
        """Begin to compute the map, unless it is there or being computed."""
        with self._lock:
            if self._state in ("absent", "failed"):
                self._state, self._started, self._message = "computing", time.monotonic(), ""
                threading.Thread(target=self._compute, name="map", daemon=True).start()
            self._asked = True
        return self._tell(202)

    def load_kept(self) -> None:
        """Use a map that was computed earlier; looked for in the background, because all features are hashed."""
        self._state, self._started = "computing", time.monotonic()
        threading.Thread(target=self._look, name="map", daemon=True).start()

    def _look(self) -> None:
        try:
            kept = len(self._desk.index.shapes) > 0 and map_file(self._desk.searcher).is_file()
        except Exception:  # such as a cache folder that cannot be searched
            kept = False
        with self._lock:
            if not (kept or self._asked):
                self._state = "absent"
                return
        self._compute()

    def _compute(self) -> None:
        try:
            layout = lay_out(self._desk.searcher)
        except UsageError as error:  # too many shapes
            self._state, self._message = "failed", str(error)
        except MissingLibraryError:  # its message may name a folder of this machine
            self._state, self._message = "failed", NO_LIBRARY
        except Exception:
            self._state, self._message = "failed", "The map could not be computed: see shapecnn map --help."
        else:
            self._order = _along_a_curve(layout.positions)
            self._layout, self._state = layout, "ready"

    def _tell(self, status: int = 200) -> Response:
        layout = self._layout
        seconds = time.monotonic() - self._started if self._state == "computing" else 0.0
        return as_json(
            {
                "schema_version": SCHEMA_VERSION,
                "state": self._state,
                "seconds": round(seconds, 1),
                "message": self._message or None,
                "families": 0 if layout is None else int(layout.families.max(initial=-1)) + 1,
                "sheet": SIDE,
                "thumbnail": SMALL,
            },
            status,
        )

    def _ready(self) -> Layout:
        if self._layout is None:
            raise RefusedError(
                409, "absent", "The map is not computed yet: send POST /api/map, and wait until it is ready."
            )
        return self._layout

    async def points(self, _request: Request) -> Response:
        """Return the positions of all shapes, in the order of the sheets."""
        layout, order = self._ready(), self._order
        positions = layout.positions[order].astype("<f4")
        columns: list[NDArray[Any]] = [
            order,
            self._desk.catalogue.codes[order],
            layout.families[order],
            np.arange(len(order)),
        ]
        return Response(
            positions.tobytes() + np.stack(columns, axis=1).astype("<i4").tobytes(),
            media_type="application/octet-stream",
        )

    async def sheet(self, request: Request) -> Response:
        """Return a sheet of thumbnails; a shape that cannot be drawn is left white."""
        self._ready()
        number = request.path_params["number"]
        rows = self._order[number * SIDE**2 : (number + 1) * SIDE**2].tolist()
        if not rows:
            raise RefusedError(404, "missing", f"There is no sheet {number}.")
        pictures = await asyncio.gather(*[self._thumbnails.drawn(self._desk.thumbnail_task(row)) for row in rows])
        return as_png(await anyio.to_thread.run_sync(_compose, pictures), request, self._desk.stamp)

    async def table(self, _request: Request) -> Response:
        """Return the map as a Parquet file."""
        layout = self._ready()

        def content() -> bytes:
            return map_bytes(map_rows(self._desk.index, layout, [None] * len(layout.positions)))

        written = await anyio.to_thread.run_sync(content)  # of a large collection, this takes seconds
        return Response(written, media_type="application/vnd.apache.parquet", headers=to_save("map.parquet"))


def _along_a_curve(positions: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the rows in the order of a Z curve, so that shapes on one sheet are near each other on the map."""
    cells = ((positions + 1) * 511.5).clip(0, 1023).astype(np.int64)
    code = np.zeros(len(cells), np.int64)
    for bit in range(10):
        code |= (cells[:, 0] >> bit & 1) << 2 * bit | (cells[:, 1] >> bit & 1) << 2 * bit + 1
    return np.argsort(code, kind="stable")


def _compose(pictures: list[Any]) -> bytes:
    from PIL import Image

    sheet = Image.new("L", (SIDE * SMALL, SIDE * SMALL), 255)
    for number, content in enumerate(pictures):
        if content is not None:
            with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
                small = picture.convert("L").resize((SMALL, SMALL), Image.Resampling.BOX)
            sheet.paste(small, (number % SIDE * SMALL, number // SIDE * SMALL))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()
