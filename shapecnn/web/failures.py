"""Responses of the web application to what goes wrong."""

from __future__ import annotations

import logging
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from shapecnn.errors import ItemError, ProcessError, ShapecnnError, UsageError
from shapecnn.web.limits import RETRY, RefusedError
from shapecnn.web.replies import as_error


async def _refused(_request: Request, error: RefusedError) -> Response:
    return as_error(error.status, error.kind, error.message, error.retry)


async def _failed(_request: Request, error: ShapecnnError) -> Response:
    if isinstance(error, ItemError):
        return as_error(422, error.kind, str(error))
    if isinstance(error, UsageError):
        return as_error(400, error.kind, "This index or run cannot do that: see shapecnn serve --help.")
    logging.getLogger("uvicorn.error").error("%s", error)  # may name a folder, which only the server's own user is told
    if isinstance(error, ProcessError):
        return as_error(503, error.kind, "No worker process can be started: see the messages of the server.", RETRY)
    return as_error(500, error.kind, "The model or the index cannot be used: run the same query on the command line.")


async def _not_found(_request: Request, _error: Exception) -> Response:
    return as_error(404, "missing", "There is nothing at this address: see /api/openapi.json.")


async def _no_method(request: Request, _error: Exception) -> Response:
    routes = [each for each in request.app.routes if isinstance(each, Route)]  # one for each method of an address
    here = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    allowed = {method for route in here for method in route.methods or ()} or {"GET", "HEAD"}  # of a static file
    response = as_error(405, "method", "This address does not take that method: see /api/openapi.json.")
    response.headers["allow"] = ", ".join(sorted(allowed))
    return response


async def _broken(_request: Request, _error: Exception) -> Response:
    return as_error(500, "error", "An unexpected error occurred: see the messages of the server.")


HANDLERS: dict[Any, Any] = {
    RefusedError: _refused,
    ShapecnnError: _failed,
    404: _not_found,
    405: _no_method,
    Exception: _broken,
}
"""Function that answers for each error or status, as Starlette takes them."""
