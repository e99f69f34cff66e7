"""``shapecnn serve``: search a collection in the browser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shapecnn.cli.console import SCHEMA_VERSION, be_quiet, emit, say
from shapecnn.cli.options import LocalPath, device_option, memory_option, quiet_option, workers_option

if TYPE_CHECKING:
    from shapecnn.models.device import Device
    from shapecnn.web.server import Place


@click.command("serve")
@click.argument("index", type=LocalPath(path_type=Path))
@click.option(
    "--model",
    metavar="RUN",
    help="Run that classifies the shapes.  [default: the run that INDEX was made with, if any]",
)
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0: any free port.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to bind to. An address that other machines can reach needs a token: the value of the "
    "environment variable SHAPECNN_TOKEN, or a random one that is printed with the address.",
)
@click.option(
    "--name",
    "public",
    help="Name under which a proxy passes requests on, such as shapes.example.org. It needs a token too.",
)
@click.option(
    "--max-upload", type=click.IntRange(1, 1024), default=64, show_default=True, help="Largest upload, in MB."
)
@click.option(
    "--timeout",
    type=click.FloatRange(0.1),
    default=60.0,
    show_default=True,
    help="Time limit for one mesh, in seconds.",
)
@memory_option
@workers_option
@device_option
@quiet_option
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print one JSON value on stdout as soon as the page can be opened: its address, the port and the token.",
)
def command(
    index: Path,
    model: str | None,
    port: int,
    host: str,
    public: str | None,
    max_upload: int,
    timeout: float,
    memory: float,
    workers: int | None,
    device: Device,
    as_json: bool,
) -> None:
    """Search INDEX in the browser: with meshes, photographs or drawings, and on a map of the collection.

    The page is at the printed address until Ctrl-C. It needs no internet connection. Uploaded files are read in
    worker processes and stay in memory; nothing is written to INDEX or to the collection.

    \b
    Example:
      shapecnn serve my-index --model my-run
    """
    from shapecnn.storage.table_reader import start_reader

    start_reader()
    from shapecnn.errors import UsageError, quoted
    from shapecnn.web.server import open_both, serve
    from shapecnn.workers.pool import Workers

    if public is not None and not re.fullmatch(r"[A-Za-z0-9.-]+", public):
        raise UsageError(f"--name {quoted(public)}: give the name alone, such as shapes.example.org.")
    limits = Workers(workers, timeout, memory)
    searcher, predictor = open_both(index, model, device, limits)
    name = index.resolve().name

    def ready(place: Place) -> None:
        if as_json:
            emit({"schema_version": SCHEMA_VERSION, **place._asdict()}, as_json)
        else:
            say(f"Open {place.url}")

    be_quiet()  # from now on nothing is in progress
    most = max_upload << 20
    serve(searcher, predictor, name, host=host, port=port, public=public, most_bytes=most, workers=limits, ready=ready)
