"""Steps shared by all commands that process many files: print the summary, report failures, set the exit status."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shapecnn.cli.console import SCHEMA_VERSION, emit, note, say
from shapecnn.cli.next_steps import suggest_for_artefacts
from shapecnn.cli.options import FAILURES, WRITER, command_line, failures_file
from shapecnn.cli.progress import progress_bar

if TYPE_CHECKING:
    from shapecnn.artefacts.writing import Summary
    from shapecnn.meshes.labels import Labels
    from shapecnn.settings.views_and_grids import Layout, ViewSettings, VoxelSettings
    from shapecnn.storage.outputs import Objects
    from shapecnn.workers.pool import Workers

SHOWN = 20  # failures listed on a terminal


def run_prepare(
    task: str,
    collection: Path,
    out: Path,
    settings: ViewSettings | VoxelSettings,
    layout: Layout,
    max_faces: int | None,
    labels: Labels,
    shard: str | None,
    cluster: str | None,
    objects: Objects | None,
    workers: Workers,
    overwrite: bool,
    skip_errors: bool,
    as_json: bool,
) -> None:
    """Render or voxelize a collection and print the summary; exit with status 1 if a mesh failed.

    Args:
        task: Name of the stage on the progress bar, such as "Drawing".
        collection: Folder of meshes, a zip of a folder, or a CSV with the header path,label,split.
        out: Folder for the artefacts.
        settings: Settings of the views or the voxel grids.
        layout: ``sheet``: one contact sheet of all views; ``files``: one file for each view or grid.
        max_faces: Maximum number of faces of a mesh; None if only memory limits it.
        labels: Source of labels and splits: ``auto``, ``folder`` or ``none``.
        shard: Shard of the collection to process, such as ``2/8``; None for the whole collection.
        cluster: Address of the Ray cluster that processes the collection; None for this machine.
        objects: How the artefacts are stored if ``out`` is a URL: ``files`` or ``shards``; None: as they are there.
        workers: Number, time limit and memory limit of the worker processes.
        overwrite: Replace results made with other settings, and files that shapecnn did not write.
        skip_errors: Exit with status 0 even if meshes failed.
        as_json: Print the summary as JSON.
    """
    from shapecnn.workers.server import start_server

    if cluster is None:
        start_server()  # early: it loads its modules while this process loads its own
    from shapecnn import prepare
    from shapecnn.artefacts.manifest import MANIFEST

    with progress_bar(task) as progress:
        summary = prepare(
            collection,
            out,
            settings,
            layout=layout,
            max_faces=max_faces,
            labels=labels,
            shard=shard,
            cluster=cluster,
            objects=objects,
            overwrite=overwrite,
            workers=workers,
            progress=progress,
            say=note,
            command=command_line(),
        )
    emit_summary(summary, out, as_json)
    report_failures(
        summary.failures, skip_errors, record=out / MANIFEST, then=lambda: suggest_for_artefacts(out, collection)
    )


def emit_summary(summary: Summary, out: Path, as_json: bool, **more: object) -> None:
    """Print how many artefacts a command has made, skipped and failed to make.

    Args:
        summary: Counts and failures of the run.
        out: Folder of the artefacts.
        as_json: Print a JSON object instead of a line of text.
        **more: Additional keys and values of the JSON object.
    """
    answer = {
        "schema_version": SCHEMA_VERSION,
        "written": summary.written,
        "skipped": summary.skipped,
        "failed": summary.failed,
        "seconds": round(summary.seconds, 3),
        "failures": [{"path": path, "error": error} for path, error in summary.failures],
        **more,
    }
    counts = f"{summary.written} written, {summary.skipped} unchanged, {summary.failed} failed"
    emit(answer, as_json, [f"{counts} in {summary.seconds:.1f} s: {out}"])


def report_failures(
    failures: list[tuple[str, str]],
    skip_errors: bool,
    noun: str = "meshes",
    record: Path | None = None,
    then: Callable[[], None] | None = None,
) -> None:
    """Report failed input files on stderr and in the file of --failures; exit with status 1 if there are any.

    Args:
        failures: Path and error of each file that failed.
        skip_errors: Return instead of exiting with status 1.
        noun: Plural noun of the input files, such as "meshes".
        record: Output file that also lists all failures; the message names it if the list on stderr is cut.
        then: Function that prints the last line: what to do next.

    Raises:
        UsageError: The file of --failures exists and may not be replaced.
        click.exceptions.Exit: There are failures and ``skip_errors`` is false.
    """
    csv_file = write_failures(failures)
    for path, error in failures[:SHOWN]:
        say(f"Failed: {path}: {error}")
    if len(failures) > SHOWN:
        complete = f"all are in {csv_file or record}" if csv_file or record else "--failures FILE.csv saves all"
        say(f"… and {len(failures) - SHOWN} more: {complete}.")
    if failures:
        say(f"{len(failures)} of the {noun} could not be used.")
    if then is not None:
        then()
    if failures and not skip_errors:
        click.get_current_context().exit(1)


def write_failures(failures: list[tuple[str, str]]) -> Path | None:
    """Write the failed input files to the CSV file of --failures, if the option was given.

    Args:
        failures: Path and error of each file that failed.

    Returns:
        The CSV file; None without --failures.

    Raises:
        UsageError: The CSV file exists and may not be replaced.
    """
    csv_file = failures_file()
    if csv_file is not None:
        from shapecnn.storage.files import write_file
        from shapecnn.storage.spreadsheets import csv_text

        rows = csv_text([FAILURES, *((path, error, WRITER) for path, error in failures)])
        write_file(csv_file, rows.encode(), overwrite=True)  # failures_file has checked that it may be replaced
    return csv_file
