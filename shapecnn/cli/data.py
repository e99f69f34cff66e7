"""``shapecnn data``: collections, views and grids that others have published."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shapecnn.cli.batch import SHOWN, emit_summary, report_failures
from shapecnn.cli.console import SCHEMA_VERSION, emit, note
from shapecnn.cli.options import (
    command_line,
    failures_option,
    json_option,
    labels_option,
    overwrite_option,
    quiet_option,
    skip_errors_option,
    workers_options,
)
from shapecnn.cli.progress import progress_bar
from shapecnn.errors import counted

if TYPE_CHECKING:
    from shapecnn.meshes.labels import Labels
    from shapecnn.workers.pool import Workers


@click.group()
def command() -> None:
    """Download known collections; import views and grids that others made."""


@command.command(short_help="Download ModelNet10 or ModelNet40.")
@click.argument("name", type=click.Choice(["modelnet10", "modelnet40"]))
@click.argument("dest", type=click.Path(file_okay=False, path_type=Path))
@click.option("--url", metavar="URL|FILE", help="A mirror, or the zip itself if you have it.")
@click.option(
    "--sha256",
    metavar="HEX",
    help="What the zip must have.  [default: the official zip's, from the official server]",
)
@overwrite_option
@quiet_option
@json_option
def download(name: str, dest: Path, url: str | None, sha256: str | None, overwrite: bool, as_json: bool) -> None:
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
        result = fetch_and_unpack(name, dest, url, sha256, progress, overwrite=overwrite)
    if not result.new:
        note(f"{result.path} is there already: nothing was fetched.")
    origin = asdict(result.origin) if result.origin else dict.fromkeys(("url", "bytes", "sha256"))
    if origin["sha256"] != SOURCES[name].sha256:
        note(f"It is not known to be the official archive (SHA-256: {origin['sha256'] or 'unknown'}).")
    report = {
        "schema_version": SCHEMA_VERSION,
        "name": name,
        "path": str(result.path),
        **origin,
        "shapes": result.shapes,
        "seconds": round(time.perf_counter() - start, 3),
    }
    emit(report, as_json, [str(result.path)])


@command.command("import", short_help="Turn views or grids of others into artefacts.")
@click.argument("src", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--layout",
    type=click.Choice(["views-by-shape", "views-by-name", "voxels-npz", "binvox"]),
    help="How SRC is laid out.  [default: found by looking]",
)
@labels_option
@failures_option
@workers_options
@skip_errors_option
@quiet_option
@json_option
def import_(
    src: Path,
    out: Path,
    layout: str | None,
    labels: Labels,
    workers: Workers,
    overwrite: bool,
    skip_errors: bool,
    as_json: bool,
) -> None:
    """Turn views or grids that others made into artefacts in OUT, as if render or voxelize had made them.

    \b
    SRC is one of these, found by looking; --layout says which where two fit
      views-by-shape  split/class/id/*.png, one PNG or JPEG file a view, a folder or a zip of one
      views-by-name   class/split/name_001.png, the same: as the MVCNN authors' scripts write
      voxels-npz      one file with voxels (packed bits), labels and classes; …-train.npz is the split train
      binvox          class/split/name.binvox, a folder, a zip of one, or a CSV path,label,split

    The last axis of a grid has to point up. Shapes that are the same and yet have different labels are named.
    Running the same command again imports only what is new or changed.

    \b
    Example:
      shapecnn data import modelnet40_images_new_12x/ views/
    """
    from shapecnn.workers.server import start_server

    start_server()  # it loads its modules while this process loads its own
    from shapecnn.artefacts.imports import conflicts, import_artefacts
    from shapecnn.artefacts.manifest import MANIFEST, read_manifest

    with progress_bar("Importing") as progress:
        done = import_artefacts(
            src,
            out,
            layout,
            command=command_line(),
            labels=labels,
            overwrite=overwrite,
            workers=workers,
            progress=progress,
            say=note,
        )
    conflicting = conflicts(read_manifest(out))
    emit_summary(done, out, as_json, conflicts=conflicting)
    if conflicting:
        count = sum(map(len, conflicting))
        groups = counted(len(conflicting), "group")
        note(f"Note: {count} shapes are the same as one with another label, in {groups}:")
        for group in conflicting[:SHOWN]:
            note(f"  {', '.join(group)}")
        if len(conflicting) > SHOWN:
            note(f"  … and {len(conflicting) - SHOWN} more; --json has them all.")
    report_failures(done.failures, skip_errors, "shapes", kept=out / MANIFEST)
