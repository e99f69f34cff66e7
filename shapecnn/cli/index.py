"""``shapecnn index``: a collection made searchable."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shapecnn.cli.answers import note_drawing
from shapecnn.cli.batch import report_failures
from shapecnn.cli.console import SCHEMA_VERSION, emit
from shapecnn.cli.options import (
    batch_options,
    collection_argument,
    command_line,
    device_option,
    faces_options,
    seed_accepted,
    set_option,
    trained_orientation_option,
)
from shapecnn.cli.progress import progress_bar

if TYPE_CHECKING:
    from shapecnn.config import FaceLimit, Orientation, Up
    from shapecnn.inference import Device
    from shapecnn.pool import Workers


@click.command("index")
@collection_argument
@click.argument("index", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--model",
    "model_name",
    metavar="RUN|@imagenet",
    default="@imagenet",
    show_default=True,
    help="A trained run; @imagenet is a network trained on pictures and on no shapes.",
)
@click.option("--feature", type=click.Choice(["penultimate", "metric"]), default="penultimate", show_default=True,
              help="What is compared: what the classifier sees, or what `shapecnn metric` learned.")  # fmt: skip
@set_option
@trained_orientation_option
@faces_options
@batch_options
@device_option
@seed_accepted
def command(
    collection: Path,
    index: Path,
    model_name: str,
    feature: str,
    assignments: tuple[str, ...],
    orientation: Orientation | None,
    device: Device,
    limit: FaceLimit,
    up: Up,
    workers: Workers,
    skip_errors: bool,
    as_json: bool,
) -> None:
    """Compute a feature of each mesh of COLLECTION and keep them in INDEX, to be searched with `shapecnn query`.

    Running it again brings INDEX up to date: new and changed meshes are computed, meshes that are gone leave.

    \b
    Examples:
      shapecnn index meshes/ my-index --up y
      shapecnn index meshes/ my-index --model my-run
      shapecnn index meshes/ my-index --orientation auto
      shapecnn index meshes/ my-index --set backbone=tf_efficientnet_lite2 --set views=20
    """
    from shapecnn import pool

    pool.start_server()  # it loads its modules while this process loads its own
    from shapecnn.config import parse_assignments
    from shapecnn.index import update_index
    from shapecnn.models import open_model

    settings = parse_assignments(assignments)
    if orientation is not None and model_name == "@imagenet":
        settings = {"orientation": orientation, **settings}
    if limit.target is not None and model_name == "@imagenet":
        settings = {"simplify": limit.target, **settings}
    model = open_model(model_name, settings, up).comparing(feature)
    model.input.require_orientation(orientation, model_name)
    note_drawing(model)
    with progress_bar("Indexing") as progress:
        done = update_index(
            collection,
            index,
            model,
            command=command_line(),
            up=up,
            simplify=limit.target,
            max_faces=limit.most,
            device=device,
            workers=workers,
            progress=progress,
        )
    answer = {
        "schema_version": SCHEMA_VERSION,
        "added": done.added,
        "updated": done.updated,
        "unchanged": done.unchanged,
        "removed": done.removed,
        "failed": len(done.failures),
        "total": done.total,
        "seconds": round(done.seconds, 3),
        "failures": [{"path": path, "error": error} for path, error in done.failures],
    }
    counts = ", ".join(f"{answer[what]} {what}" for what in ("added", "updated", "unchanged", "removed", "failed"))
    emit(answer, as_json, f"{counts} in {done.seconds:.1f} s: {index} holds {done.total} shapes")
    report_failures(done.failures, skip_errors)
