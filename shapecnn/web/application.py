"""The web application: its addresses, and how the answers of :mod:`desk` become HTTP responses."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import resources
from typing import Any, TypeVar

import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from shapecnn.api.records import SCHEMA_VERSION
from shapecnn.errors import ItemError
from shapecnn.storage.spreadsheets import csv_text
from shapecnn.views.cameras import columns
from shapecnn.web import addresses, asking, schemas
from shapecnn.web.addresses import Address, Parameter
from shapecnn.web.desk import Desk
from shapecnn.web.failures import HANDLERS
from shapecnn.web.files import AGAIN
from shapecnn.web.limits import Gate, RefusedError, read_body
from shapecnn.web.maps import MapDesk
from shapecnn.web.queries import Query, failure
from shapecnn.web.replies import as_json, as_png, to_save
from shapecnn.web.thumbnails import Thumbnails
from shapecnn.web.warming import Warming

WORKING, WAITING = 2, 24  # requests that compute at a time, and that may wait; the same of searches and of uploads
MOST_QUERIES = 100  # queries in one table of results
STATIC = resources.files("shapecnn.web") / "static"

Result = TypeVar("Result")


class Application:
    """Answers HTTP requests about one index.

    Args:
        desk: Answers the requests.
        thumbnails: Draws small pictures of the shapes.
        maps: The map of the collection.
    """

    def __init__(self, desk: Desk, thumbnails: Thumbnails, maps: MapDesk) -> None:
        self.desk, self.thumbnails, self.maps = desk, thumbnails, maps
        self._gate, self._receiving = Gate(WORKING, WAITING), Gate(WORKING, WAITING)
        self._searching = Gate(WORKING, WAITING)  # a search needs no worker, so it waits for no mesh that takes long
        self._networks = Warming(desk.warm)

    def starlette(self) -> Starlette:
        """Return the application for the server."""
        listed = self.addresses()
        document = addresses.openapi(listed)

        async def description(_request: Request) -> Response:
            return JSONResponse(document)

        async def index(_request: Request) -> Response:
            return FileResponse(str(STATIC / "index.html"), headers={"cache-control": "no-cache"})

        async def icon(_request: Request) -> Response:
            return FileResponse(str(STATIC / "icon.svg"))

        routes: list[BaseRoute] = [Route(each.path, each.handler, methods=[each.method]) for each in listed]
        routes += [Route("/api/openapi.json", description), Route("/", index), Route("/favicon.ico", icon)]
        routes.append(Mount("/static", StaticFiles(directory=str(STATIC))))
        return Starlette(routes=routes, exception_handlers=HANDLERS, lifespan=self._lifespan)

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        self._networks.start()
        yield

    def addresses(self) -> list[Address]:
        """Return the addresses of the API."""
        label = Parameter("label", "class to search; all if absent")
        k = Parameter("k", "largest number of results", addresses.COUNT)
        queries = Parameter("query", "query; give it several times for several queries", required=True, many=True)
        name = Parameter("name", "name of the file; its extension decides the format of a mesh", required=True)
        of = Parameter("of", "stamp of this server, for a picture that the browser shall keep; see /api/about")
        any_bytes, png = "application/octet-stream", "image/png"
        one = "/api/queries/{query}"
        return [
            Address("GET", "/api/about", self.about, "The index and the run.", schemas.About),
            Address("GET", "/api/shapes", self.shapes, "A part of the list of shapes, in order of id.", schemas.Listing,
                    [Parameter("offset", "first shape", addresses.NUMBER),
                     Parameter("limit", "number of shapes", addresses.NUMBER), label,
                     Parameter("text", "words that ids contain"),
                     Parameter("row", "rows of shapes to list, in place of a filter", addresses.NUMBER, many=True)]),
            Address("GET", "/api/shapes/{row:number}/picture.png", self.picture, "A small picture of a shape.", png,
                    [of]),
            Address("POST", "/api/queries", self.upload, "Search with a mesh or a picture: the body is the file.",
                    schemas.QueryRecord, [name, Parameter("kind", "mesh or picture",
                    {"type": "string", "enum": ["mesh", "picture"], "default": "mesh"}),
                    Parameter("up", "axis that points up in the mesh file", addresses.UP)], any_bytes, 201),
            Address("GET", one, self.query, "A query; shape-ROW is that of a shape of the collection.",
                    schemas.QueryRecord),
            Address("DELETE", one, self.forget, "Forget a query.", any_bytes, status=204),
            Address("GET", f"{one}/results", self.results, "The shapes most similar to a query.", schemas.Results,
                    [k, label]),
            Address("GET", f"{one}/prediction", self.prediction, "The classes of a mesh.", schemas.PredictionRecord),
            Address("GET", f"{one}/explanation", self.explanation, "Which views spoke for the class of a mesh.",
                    schemas.ExplanationRecord),
            Address("GET", f"{one}/model.glb", self.model, "The mesh for the viewer.", "model/gltf-binary"),
            Address("GET", f"{one}/views.png", self.views, "All views of a mesh in one picture, row by row.", png,
                    [of]),
            Address("GET", f"{one}/views/{{view:number}}.png", self.view, "One view of a mesh, or the picture.", png,
                    [of]),
            Address("GET", "/api/results.json", self.results_json,
                    "Results of several queries, as query --json, without those that are not kept any more.",
                    "application/json", [queries, k, label]),
            Address("GET", "/api/results.csv", self.results_csv,
                    "Results of several queries as a table, without those that are not kept any more.", "text/csv",
                    [queries, k, label]),
            *self.maps.addresses(of),
        ]  # fmt: skip

    async def about(self, _request: Request) -> Response:
        """Describe the index and the run."""
        views = self.desk.view_settings().views
        return as_json(self.desk.about() | {"views": views, "view_columns": columns(views)})

    async def shapes(self, request: Request) -> Response:
        """List shapes, filtered by class and words, or by their rows."""
        catalogue, total = self.desk.catalogue, len(self.desk.index.shapes)
        asked = request.query_params.getlist("row")
        if asked:
            if len(asked) > addresses.MOST_RESULTS or not all(asking.is_whole(row, 0, total - 1) for row in asked):
                raise RefusedError(400, "usage", f"row: give up to {addresses.MOST_RESULTS} rows below {total}.")
            import numpy as np

            return as_json(_listing(len(asked), catalogue.page(np.array([int(row) for row in asked]))))
        offset = asking.number(request, "offset", 0, 0, 10**9)
        limit = asking.number(request, "limit", 100, 1, 1000)
        text = request.query_params.get("text", "")[:200]
        rows = await self._thread(catalogue.rows, asking.label(request), text)
        return as_json(_listing(len(rows), catalogue.page(rows[offset : offset + limit])))

    async def picture(self, request: Request) -> Response:
        """Return a thumbnail."""
        drawn = await self.thumbnails.drawn(self.desk.thumbnail_task(request.path_params["row"]))
        if drawn is None:
            raise RefusedError(404, "missing", f"The mesh is missing, has changed or cannot be drawn: {AGAIN}.")
        return as_png(drawn, request, self.desk.stamp)

    async def upload(self, request: Request) -> Response:
        """Read an upload and keep it as a query."""
        name, kind = request.query_params.get("name", ""), request.query_params.get("kind", "mesh")
        if kind not in ("mesh", "picture"):
            raise RefusedError(400, "usage", "kind: give mesh or picture.")
        up = asking.up(request)
        await self._networks.done()
        async with self._receiving.passing():  # an upload that arrives slowly keeps no place of those that compute
            data = await read_body(request, self.desk.limits.upload)
            try:
                if kind == "picture":
                    query = await self._compute(self.desk.upload_picture, name, data)
                else:
                    query = await self._compute(self.desk.upload_mesh, name, data, up)
            except ItemError as error:
                return as_json(failure(name, error), 422)
        return as_json(self._record(query), 201)

    async def query(self, request: Request) -> Response:
        """Describe a query."""
        return as_json(self._record(self._query(request)))

    async def forget(self, request: Request) -> Response:
        """Forget a query."""
        self.desk.forget(request.path_params["query"])
        return Response(status_code=204)

    async def results(self, request: Request) -> Response:
        """Search with a query."""
        query, k, label = self._query(request), asking.count(request), asking.label(request)
        found = await self._search(query, k, label)
        for hit in found["results"]:
            hit["row"] = self._rows[hit["id"]]
        return as_json(found)

    async def prediction(self, request: Request) -> Response:
        """Classify a query."""
        await self._networks.done()
        return as_json(await self._once("prediction", self.desk.prediction, self._query(request)))

    async def explanation(self, request: Request) -> Response:
        """Explain the class of a query."""
        await self._networks.done()
        return as_json(await self._once("explanation", self.desk.explanation, self._query(request)))

    async def model(self, request: Request) -> Response:
        """Return the mesh of a query for the viewer."""
        content = await self._once("model", self.desk.model, self._query(request))
        return Response(content, media_type="model/gltf-binary")

    async def views(self, request: Request) -> Response:
        """Return all views of a query as one picture."""
        return as_png(await self._once("views", self.desk.sheet, self._query(request)), request, self.desk.stamp)

    async def view(self, request: Request) -> Response:
        """Return a view of a query."""
        drawn = await self._once("views", self.desk.view, self._query(request), request.path_params["view"])
        return as_png(drawn, request, self.desk.stamp)

    async def results_json(self, request: Request) -> Response:
        """Return the results of several queries as one JSON file."""
        return as_json(await self._several(request), headers=to_save("results.json"))

    async def results_csv(self, request: Request) -> Response:
        """Return the results of several queries as one table."""
        rows: list[tuple[Any, ...]] = [("query", "rank", "score", "label", "id", "view")]
        for answer in await self._several(request):
            rows += [
                (answer["query"], rank, hit["score"], hit["label"], hit["id"], hit.get("view"))
                for rank, hit in enumerate(answer["results"], 1)
            ]
        return Response(csv_text(rows), media_type="text/csv", headers=to_save("results.csv"))

    async def _several(self, request: Request) -> list[dict[str, Any]]:
        names = request.query_params.getlist("query")
        if not 1 <= len(names) <= MOST_QUERIES:
            raise RefusedError(400, "usage", f"query: name 1 to {MOST_QUERIES} queries.")
        k, label = asking.count(request), asking.label(request)
        queries = [query for name in names if (query := self.desk.known(name))]
        if not queries:
            raise RefusedError(404, "missing", "The server keeps none of these queries any more: open the files again.")
        return [await self._search(query, k, label) for query in queries]

    def _query(self, request: Request) -> Query:
        return self.desk.query(request.path_params["query"])

    def _record(self, query: Query) -> dict[str, Any]:
        row = self._rows.get(query.name) if query.kind == "shape" else None
        label = None if row is None else self.desk.index.shapes[row].label
        described = {"query": query.id, "kind": query.kind, "name": query.name, "label": label, "up": query.up}
        return {"schema_version": SCHEMA_VERSION, **described}

    @functools.cached_property
    def _rows(self) -> dict[str, int]:
        return {shape.id: row for row, shape in enumerate(self.desk.index.shapes)}

    async def _once(self, result: str, function: Callable[..., Result], query: Query, *arguments: Any) -> Result:
        """Compute a result of a query; a request for the same result waits before the gate, and finds it there."""
        async with query.turns[result]:
            return await self._compute(function, query, *arguments)

    async def _search(self, query: Query, k: int, label: str | None) -> dict[str, Any]:
        async with self._searching.passing():
            return await self._thread(self.desk.results, query, k, label)

    async def _compute(self, function: Callable[..., Result], *arguments: Any) -> Result:
        async with self._gate.passing():
            return await self._thread(function, *arguments)

    async def _thread(self, function: Callable[..., Result], *arguments: Any) -> Result:
        return await anyio.to_thread.run_sync(functools.partial(function, *arguments))


def _listing(total: int, shapes: list[dict[str, Any]]) -> dict[str, Any]:
    return {"schema_version": SCHEMA_VERSION, "total": total, "shapes": shapes}
