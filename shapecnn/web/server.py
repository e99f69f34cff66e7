"""Open an index and serve its web application until the process is ended."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from shapecnn.api.indexes import open_index
from shapecnn.api.models import open_model
from shapecnn.errors import MissingLibraryError, UsageError, quoted
from shapecnn.models.device import Device
from shapecnn.predict import Predictor
from shapecnn.search.query import Searcher
from shapecnn.workers.pool import Workers
from shapecnn.workers.server import start_server

TOKEN = "SHAPECNN_TOKEN"
LEAST_TOKEN = 16  # characters
UNTOLD = ("Invalid HTTP request", "Unsupported upgrade request", "No supported WebSocket library")

PRELOAD = ["shapecnn.models.apply", "shapecnn.web.files", "shapecnn.search.pictures"]
"""Modules of the tasks of the workers, imported once: each request starts a worker."""


class Place(NamedTuple):
    """Where a server is reached.

    Attributes:
        url: Address of the page, with the token if there is one.
        host: Address that the server is bound to.
        port: Port that the server is bound to.
        token: Token that every request needs; None if none is needed.
    """

    url: str
    host: str
    port: int
    token: str | None


def open_both(index: Path, model: str | None, device: Device, workers: Workers) -> tuple[Searcher, Predictor | None]:
    """Open an index, and the run that classifies meshes.

    Args:
        index: Folder of the index.
        model: Folder of a run; None for the run that computed the features of the index, if a run did.
        device: Device that the networks run on.
        workers: Worker processes, with their time and memory limits.

    Returns:
        The index, and the run; None if there is no run, or the run predicts no classes.

    Raises:
        UsageError: The index or the run does not exist, or the run predicts no classes.
        StoredDataError: The index or the run is damaged.
    """
    try:
        searcher = open_index(index, device=device, workers=workers)
    except UsageError:
        if model is None:
            raise
        searcher = open_index(index, model, device=device, workers=workers)  # the run of the index has moved
    if model is None:
        own = Predictor(searcher.model, device, workers)
        return searcher, own if own.classes else None
    predictor = open_model(model, device=device, workers=workers)
    if not predictor.classes:
        raise UsageError(f"--model {model} predicts no classes: give a run that was trained on labelled shapes.")
    return searcher, predictor


def choose_token(local: bool) -> str | None:
    """Return the token that requests must have: the value of SHAPECNN_TOKEN, or a new one; None for a local address.

    Args:
        local: Whether the server is reached from this machine only.

    Raises:
        UsageError: The value of SHAPECNN_TOKEN is too short or has other characters than letters, digits, - and _.
    """
    given = os.environ.get(TOKEN)
    if given is None:
        return None if local else secrets.token_urlsafe(24)
    if len(given) < LEAST_TOKEN or not given.isascii() or not given.replace("-", "").replace("_", "").isalnum():
        raise UsageError(f"{TOKEN} needs at least {LEAST_TOKEN} letters, digits, - and _: take a random one.")
    return given


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address.

    Args:
        host: Address or name of this machine.
        port: Port; 0 for any free port.

    Raises:
        UsageError: The address is not one of this machine, or the port is taken.
    """
    listener: socket.socket | None = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)  # from now on connections wait, so that the printed address works
    except OSError as error:
        if listener is not None:
            listener.close()
        raise UsageError(
            f"The server cannot listen at {quoted(host)}, port {port} ({error.strerror or error}): "
            f"give another --host or --port."
        ) from None
    return listener


def address_to_open(host: str) -> str:
    """Return the name or address in the URL of a server: of one bound to all addresses, the name of this machine."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return socket.gethostname()
    return f"[{host}]" if address.version == 6 else host


def is_told(record: logging.LogRecord) -> bool:
    """Return whether a message of uvicorn is shown: not of requests that anybody can send, or that Ctrl-C cancelled."""
    cancelled = record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError)
    return not (cancelled or record.getMessage().startswith(UNTOLD))


def serve(
    searcher: Searcher,
    predictor: Predictor | None,
    name: str,
    *,
    host: str,
    port: int,
    public: str | None,
    most_bytes: int,
    workers: Workers,
    ready: Callable[[Place], None],
) -> None:
    """Serve an index until the process is interrupted.

    Args:
        searcher: The index.
        predictor: Run that classifies meshes; None for none.
        name: Name of the index on the page.
        host: Address to bind to.
        port: Port; 0 for any free port.
        public: Name of a proxy that passes requests on; None for none.
        most_bytes: Largest size of an upload.
        workers: Worker processes, with their time and memory limits.
        ready: Function that is called once, when connections are accepted.

    Raises:
        UsageError: The address cannot be used.
        MissingLibraryError: Starlette or uvicorn is not installed.
    """
    try:
        import uvicorn

        from shapecnn.web.application import Application
        from shapecnn.web.connections import SILENCE, Connection, DirectConnection
        from shapecnn.web.desk import Desk
        from shapecnn.web.guard import Guard, is_local
        from shapecnn.web.limits import Limits
        from shapecnn.web.maps import MapDesk
        from shapecnn.web.thumbnails import Thumbnails
    except ImportError as error:
        raise MissingLibraryError(
            f'The web application needs starlette and uvicorn ({error}): pip install "shapecnn[web]"'
        ) from None
    token = choose_token(is_local(host) and public is None)
    listener = listen(host, port)
    start_server(*PRELOAD)  # the server of the workers, while this process goes on
    desk = Desk(searcher, predictor, name, Limits(most_bytes, workers))
    thumbnails = Thumbnails(workers)
    maps = MapDesk(desk, thumbnails)
    app = Guard(Application(desk, thumbnails, maps).starlette(), host, token, public)
    maps.load_kept()
    bound = listener.getsockname()[1]
    url = f"http://{address_to_open(host)}:{bound}/{'' if token is None else f'?token={token}'}"
    ready(Place(url, host, bound, token))
    config = uvicorn.Config(
        app,
        http=DirectConnection if public is None else Connection,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=SILENCE,
        timeout_graceful_shutdown=3,
        limit_concurrency=512,
        ws="none",
        proxy_headers=False,
    )
    server = uvicorn.Server(config)
    # Once Ctrl-C was pressed, all that is told is about requests that it ends.
    logging.getLogger("uvicorn.error").addFilter(lambda record: not server.should_exit and is_told(record))
    server.run(sockets=[listener])
