"""``shapecnn data``: download public mesh collections; import views and grids made by other programs."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shapecnn.cli.batch import SHOWN, emit_summary, report_failures
from shapecnn.cli.console import SCHEMA_VERSION, emit, note
from shapecnn.cli.free_paths import free_artefacts
from shapecnn.cli.next_steps import suggest, suggest_for_artefacts
from shapecnn.cli.options import (
    AnyPath,
    LocalPath,
    command_line,
    failures_option,
    json_option,
    labels_option,
    objects_option,
    overwrite_option,
    quiet_option,
    skip_errors_option,
    workers_options,
)
from shapecnn.cli.progress import progress_bar
from shapecnn.errors import counted

if TYPE_CHECKING:
    from shapecnn.meshes.labels import Labels
    from shapecnn.storage.outputs import Objects
    from shapecnn.workers.pool import Workers


@click.group()
def command() -> None:
    """Download public collections; import views and grids made by other programs."""


@command.command(short_help="Download ModelNet10 or ModelNet40.")
@click.argument("name", type=click.Choice(["modelnet10", "modelnet40"]))
@click.argument("dest", type=LocalPath(file_okay=False, path_type=Path))
@click.option(
    "--url",
    metavar="URL|FILE",
    help="Web address or local path of the zip, to use instead of the one on the official server.",
)
@click.option(
    "--sha256",
    metavar="HEX",
    help="Expected SHA-256 of the zip.  [default: that of the official zip; no check with --url]",
)
@overwrite_option
@quiet_option
@json_option
def download(name: str, dest: Path, url: str | None, sha256: str | None, overwrite: bool, as_json: bool) -> None:
    """Download ModelNet10 (0.5 GB) or ModelNet40 (2 GB, 10 GB unpacked) into the folder DEST.

    Princeton University provides both collections for academic research. An interrupted download continues where it
    stopped. A collection that exists already is checked and not changed. The command prints the folder of the
    collection, which is an argument of other commands.

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
        note(f"{result.path} exists already: nothing was downloaded.")
    origin = asdict(result.origin) if result.origin else dict.fromkeys(("url", "bytes", "sha256"))
    if origin["sha256"] != SOURCES[name].sha256:
        note(f"The zip is not known to be the official archive (SHA-256: {origin['sha256'] or 'unknown'}).")
    report = {
        "schema_version": SCHEMA_VERSION,
        "name": name,
        "path": str(result.path),
        **origin,
        "shapes": result.shapes,
        "seconds": round(time.perf_counter() - start, 3),
    }
    emit(report, as_json, [str(result.path)])
    suggest("render", result.path, free_artefacts(result.path, "views"))


@command.command("import", short_help="Import views or grids made by other programs.")
@click.argument("src", type=LocalPath(path_type=Path))
@click.argument("out", type=AnyPath(path_type=Path, file_okay=False))
@click.option(
    "--layout",
    type=click.Choice(["views-by-shape", "views-by-name", "voxels-npz", "binvox"]),
    help="Folder layout and file format of SRC.  [default: detected from the file names]",
)
@labels_option
@objects_option
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
    objects: Objects | None,
    workers: Workers,
    overwrite: bool,
    skip_errors: bool,
    as_json: bool,
) -> None:
    """Convert views or grids made by other programs to artefacts in OUT, as render and voxelize write them.

    \b
    SRC has one of these layouts; give --layout if several of them match
      views-by-shape  split/class/id/*.png: one PNG or JPEG per view, in a folder or a zip
      views-by-name   class/split/name_001.png: one PNG or JPEG per view, as written by the MVCNN authors
      voxels-npz      one npz file of packed voxels, labels and classes; the name …-train.npz means the split train
      binvox          class/split/name.binvox in a folder or a zip, or a CSV with the header path,label,split

    The last axis of each grid must point up. A note lists identical shapes with different labels. Running the same
    command again imports only new and changed shapes.

    \b
    Example:
      shapecnn data import modelnet40_images_new_12x/ views/
    """
    from shapecnn.workers.server import start_server

    start_server()  # early: it loads its modules while this process loads its own
    from shapecnn.artefacts.imports import conflicts, import_artefacts
    from shapecnn.artefacts.manifest import MANIFEST, read_manifest

    with progress_bar("Importing") as progress:
        summary = import_artefacts(
            src,
            out,
            layout,
            command=command_line(),
            labels=labels,
            overwrite=overwrite,
            workers=workers,
            progress=progress,
            say=note,
            objects=objects,
        )
    conflicting = conflicts(read_manifest(out))
    emit_summary(summary, out, as_json, conflicts=conflicting)
    if conflicting:
        count = sum(map(len, conflicting))
        groups = counted(len(conflicting), "group")
        note(f"Note: {count} shapes are identical to a shape with another label, in {groups}:")
        for group in conflicting[:SHOWN]:
            note(f"  {', '.join(group)}")
        if len(conflicting) > SHOWN:
            note(f"  … and {len(conflicting) - SHOWN} more groups; --json lists all.")
    report_failures(
        summary.failures, skip_errors, "shapes", record=out / MANIFEST, then=lambda: suggest_for_artefacts(out)
    )
