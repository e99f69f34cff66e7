"""The common tail of the commands that work through a collection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shapecnn.cli.console import SCHEMA_VERSION, emit, note, say
from shapecnn.cli.options import FAILURES, WRITER, command_line, failures_file
from shapecnn.cli.progress import progress_bar

if TYPE_CHECKING:
    from shapecnn.artefacts.writing import Summary
    from shapecnn.meshes.labels import Labels
    from shapecnn.settings.artefacts import Layout, ViewSettings, VoxelSettings
    from shapecnn.workers.pool import Workers

SHOWN = 20  # failures listed on a terminal


def run_prepare(
    doing: str,
    collection: Path,
    out: Path,
    settings: ViewSettings | VoxelSettings,
    layout: Layout,
    max_faces: int | None,
    labels: Labels,
    workers: Workers,
    overwrite: bool,
    skip_errors: bool,
    as_json: bool,
) -> None:
    """Make the artefacts, say what was done, and end with status 1 if a mesh failed."""
    from shapecnn.workers.server import start_server

    start_server()  # it loads its modules while this process loads its own
    from shapecnn import prepare
    from shapecnn.artefacts.manifest import MANIFEST

    with progress_bar(doing) as progress:
        done = prepare(
            collection,
            out,
            settings,
            layout=layout,
            max_faces=max_faces,
            labels=labels,
            overwrite=overwrite,
            workers=workers,
            progress=progress,
            say=note,
            command=command_line(),
        )
    emit_summary(done, out, as_json)
    report_failures(done.failures, skip_errors, kept=out / MANIFEST)


def emit_summary(done: Summary, out: Path, as_json: bool, **more: object) -> None:
    """The answer of a command that makes artefacts; ``more`` are further keys of the JSON object."""
    answer = {
        "schema_version": SCHEMA_VERSION,
        "written": done.written,
        "skipped": done.skipped,
        "failed": done.failed,
        "seconds": round(done.seconds, 3),
        "failures": [{"path": path, "error": error} for path, error in done.failures],
        **more,
    }
    text = f"{done.written} written, {done.skipped} unchanged, {done.failed} failed in {done.seconds:.1f} s: {out}"
    emit(answer, as_json, [text])


def report_failures(
    failures: list[tuple[str, str]],
    skip_errors: bool,
    what: str = "meshes",
    kept: Path | None = None,
) -> None:
    """Name the files that failed on stderr, write all to what --failures names, and exit with status 1 unless told not
    to.  kept: the file that has them all anyway."""
    listed = write_failures(failures)
    for path, error in failures[:SHOWN]:
        say(f"Failed: {path}: {error}")
    if len(failures) > SHOWN:
        all_of_them = f"all are in {listed or kept}" if listed or kept else "--failures FILE.csv writes all"
        say(f"… and {len(failures) - SHOWN} more: {all_of_them}.")
    if failures:
        say(f"{len(failures)} of the {what} could not be used.")
        if not skip_errors:
            click.get_current_context().exit(1)


def write_failures(failures: list[tuple[str, str]]) -> Path | None:
    """Write them to the file that --failures names, and return that."""
    listed = failures_file()
    if listed is not None:
        from shapecnn.storage.files import write_file
        from shapecnn.storage.spreadsheets import csv_text

        rows = csv_text([FAILURES, *((path, error, WRITER) for path, error in failures)])
        write_file(listed, rows.encode(), overwrite=True)  # failures_file has looked at it
    return listed
