"""Responses of the web application: JSON values, sentences that say what is wrong, pictures, and files to save."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from shapecnn.api.records import SCHEMA_VERSION
from shapecnn.errors import encodable


def as_json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON value as a response."""
    return JSONResponse(encodable(value), status, headers)


def as_error(status: int, kind: str, message: str, retry: int | None = None) -> Response:
    """Return a response that says in one sentence what is wrong and what to do."""
    headers = None if retry is None else {"retry-after": str(retry)}
    return as_json({"schema_version": SCHEMA_VERSION, "error": {"kind": kind, "message": message}}, status, headers)


def as_png(content: bytes, request: Request, stamp: str) -> Response:
    """Return a picture, which the browser keeps for an hour if its address names this server.

    The rest of the address is often the row of a shape, which another server at the same place gives to another shape.

    Args:
        content: The PNG.
        request: The request; its parameter ``of`` is the stamp of the server that the page asks.
        stamp: Stamp of this server.
    """
    kept = request.query_params.get("of") == stamp
    headers = {"cache-control": "private, max-age=3600" if kept else "no-cache"}
    return Response(content, media_type="image/png", headers=headers)


def to_save(name: str) -> dict[str, str]:
    """Return the header of a response that the browser saves as a file of this name."""
    return {"content-disposition": f'attachment; filename="{name}"'}
