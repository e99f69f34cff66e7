"""``shapecnn index``: a collection made searchable."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shapecnn.cli.batch import report_failures
from shapecnn.cli.console import SCHEMA_VERSION, emit, note
from shapecnn.cli.options import (
    batch_options,
    collection_argument,
    command_line,
    device_option,
    faces_options,
    failures_option,
    index_labels_option,
    index_up_option,
    set_option,
    trained_orientation_option,
)
from shapecnn.cli.progress import progress_bar
from shapecnn.errors import counted

if TYPE_CHECKING:
    from shapecnn.meshes.labels import Labels
    from shapecnn.models.engine import Device
    from shapecnn.settings.artefacts import FaceLimit, Orientation, Up
    from shapecnn.workers.pool import Workers


@click.command("index")
@collection_argument
@click.argument("index", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--model",
    "model_name",
    metavar="RUN|@imagenet",
    help="A trained run; @imagenet is a network trained on pictures and on no shapes.  [default: what INDEX was made "
    "with; @imagenet for a new one]",
)
@click.option("--feature", type=click.Choice(["penultimate", "metric"]),
              help="What is compared: what the classifier sees, or what `shapecnn metric` learned.  [default: as in "
              "INDEX; penultimate for a new one]")  # fmt: skip
@set_option
@trained_orientation_option
@faces_options
@index_up_option
@index_labels_option
@failures_option
@batch_options
@device_option
def command(
    collection: Path,
    index: Path,
    model_name: str | None,
    feature: str | None,
    assignments: tuple[str, ...],
    orientation: Orientation | None,
    device: Device,
    limit: FaceLimit,
    up: Up | None,
    labels: Labels | None,
    workers: Workers,
    overwrite: bool,
    skip_errors: bool,
    as_json: bool,
) -> None:
    """Compute a feature of each mesh of COLLECTION and keep them in INDEX, to be searched with `shapecnn query`.

    Running it again brings INDEX up to date: new and changed meshes are computed, meshes that are gone leave. The
    model, its settings, --up and --labels stay as they were when INDEX was made, and need not be given again.

    \b
    Examples:
      shapecnn index meshes/ my-index --up y
      shapecnn index meshes/ my-index --model my-run
      shapecnn index meshes/ my-index --orientation auto
      shapecnn index meshes/ my-index --set backbone=tf_efficientnet_lite2 --set views=20
    """
    from shapecnn.workers.server import start_server

    start_server()  # it loads its modules while this process loads its own
    from shapecnn import update_index
    from shapecnn.search.index import FAILURES
    from shapecnn.settings.core import parse_assignments

    with progress_bar("Indexing") as progress:
        done = update_index(
            collection,
            index,
            model_name,
            settings=parse_assignments(assignments),
            feature=feature,
            up=up,
            orientation=orientation,
            labels=labels,
            limit=limit,
            overwrite=overwrite,
            device=device,
            workers=workers,
            progress=progress,
            say=note,
            command=command_line(),
        )
    answer = {
        "schema_version": SCHEMA_VERSION,
        "added": done.added,
        "updated": done.updated,
        "unchanged": done.unchanged,
        "relabelled": done.relabelled,
        "removed": done.removed,
        "failed": len(done.failures),
        "total": done.total,
        "seconds": round(done.seconds, 3),
        "failures": [{"path": path, "error": error} for path, error in done.failures],
    }
    counts = ", ".join(f"{answer[what]} {what}" for what in ("added", "updated", "unchanged", "removed", "failed"))
    if done.relabelled:
        have = "shape has" if done.relabelled == 1 else "shapes have"
        note(f"{done.relabelled} unchanged {have} another label or split than before.")
    emit(answer, as_json, [f"{counts} in {done.seconds:.1f} s: {index} holds {counted(done.total, 'shape')}"])
    report_failures(done.failures, skip_errors, kept=index / FAILURES)
