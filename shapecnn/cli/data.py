"""``shapecnn data``: collections that others have published."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

import click

from shapecnn.cli.console import SCHEMA_VERSION, emit, progress_bar, say


@click.group()
def command() -> None:
    """Download known collections."""


@command.command()
@click.argument("name", type=click.Choice(["modelnet10", "modelnet40"]))
@click.argument("dest", type=click.Path(file_okay=False, path_type=Path))
@click.option("--url", metavar="URL|FILE", help="A mirror, or the zip itself if you have it.")
@click.option(
    "--sha256",
    metavar="HEX",
    help="What the zip must have.  [default: the official zip's, from the official server]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def download(name: str, dest: Path, url: str | None, sha256: str | None, as_json: bool) -> None:
    """Put ModelNet10 (0.5 GB to fetch) or ModelNet40 (2 GB to fetch, 10 GB unpacked) into the folder DEST.

    Princeton provides both for academic research. A download that broke off goes on where it stopped; a
    collection that is there already is checked and left alone. Prints the folder, for every other command.

    \b
    Examples:
      shapecnn data download modelnet10 data
      shapecnn data download modelnet40 data --url ~/Downloads/ModelNet40.zip
    """
    from shapecnn.sources.download import SOURCES
    from shapecnn.sources.download import download as fetch_and_unpack

    start = time.perf_counter()
    with progress_bar(name, unit="bytes") as progress:
        result = fetch_and_unpack(name, dest, url, sha256, progress)
    if not result.new:
        say(f"{result.path} is there already: nothing was fetched.")
    origin = asdict(result.origin) if result.origin else dict.fromkeys(("url", "bytes", "sha256"))
    if origin["sha256"] != SOURCES[name].sha256:
        say(f"It is not known to be the official archive (SHA-256: {origin['sha256'] or 'unknown'}).")
    report = {
        "schema_version": SCHEMA_VERSION,
        "name": name,
        "path": str(result.path),
        **origin,
        "shapes": result.shapes,
        "seconds": round(time.perf_counter() - start, 3),
    }
    emit(report, as_json, text=str(result.path))
