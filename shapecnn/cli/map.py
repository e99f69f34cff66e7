"""``shapecnn map``: write a map of a collection, with pictures, as a Parquet file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shapecnn.cli.console import SCHEMA_VERSION, emit
from shapecnn.cli.next_steps import suggest_browser
from shapecnn.cli.options import LocalPath, device_option, json_option, overwrite_option, quiet_option, workers_options
from shapecnn.cli.progress import progress_bar
from shapecnn.errors import counted

if TYPE_CHECKING:
    from shapecnn.models.device import Device
    from shapecnn.workers.pool import Workers


@click.command("map")
@click.argument("index", type=LocalPath(path_type=Path))
@click.argument("out", metavar="OUT.parquet", type=LocalPath(path_type=Path, dir_okay=False))
@click.option("--model", "run", metavar="RUN", help="New folder of the run that INDEX was made with, if it has moved.")
@device_option
@workers_options
@overwrite_option
@quiet_option
@json_option
def command(
    index: Path, out: Path, run: str | None, device: Device, workers: Workers, overwrite: bool, as_json: bool
) -> None:
    """Place the shapes of INDEX in the plane, similar shapes near each other, and write the map with pictures.

    OUT.parquet has one row for each shape: id, label, split, family, x, y, picture and neighbors, the most similar
    shapes. The map itself is kept in the user's cache folder, where `shapecnn serve` finds it.

    \b
    Example:
      shapecnn map my-index map.parquet
      embedding-atlas map.parquet --x x --y y --image picture --neighbors neighbors
    """
    from shapecnn import open_index
    from shapecnn.search.projection import lay_out
    from shapecnn.storage.files import require_file, write_file
    from shapecnn.storage.map_table import is_map, map_bytes
    from shapecnn.web.pictures import draw_pictures, map_rows

    start = time.monotonic()
    require_file(out, overwrite, is_map)
    searcher = open_index(index, run, device=device, workers=workers)
    with progress_bar(f"Placing {counted(len(searcher), 'shape')}"):
        layout = lay_out(searcher)
    with progress_bar("Drawing", "shapes") as progress:
        pictures = draw_pictures(searcher.index, workers, progress)
    write_file(out, map_bytes(map_rows(searcher.index, layout, pictures)), overwrite, is_map)
    missing = sum(picture is None for picture in pictures)
    result = {
        "schema_version": SCHEMA_VERSION,
        "map": str(out),
        "shapes": len(searcher),
        "without_picture": missing,
        "seconds": round(time.monotonic() - start, 3),
    }
    emit(result, as_json, [f"{out}: {counted(len(searcher), 'shape')}, {missing} without a picture"])
    suggest_browser(index, *(() if run is None else ("--model", run)))
