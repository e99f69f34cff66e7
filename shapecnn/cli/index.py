"""``shapecnn index``: build or update the search index of a collection of meshes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from shapecnn.cli.batch import report_failures
from shapecnn.cli.completion import complete_index, complete_model
from shapecnn.cli.console import SCHEMA_VERSION, emit, note
from shapecnn.cli.next_steps import suggest_for_index
from shapecnn.cli.options import (
    AnyPath,
    batch_options,
    cluster_option,
    collection_argument,
    command_line,
    device_option,
    faces_options,
    failures_option,
    index_labels_option,
    index_up_option,
    set_option,
    shard_option,
    trained_orientation_option,
)
from shapecnn.cli.progress import progress_bar
from shapecnn.errors import counted

if TYPE_CHECKING:
    from shapecnn.meshes.labels import Labels
    from shapecnn.models.device import Device
    from shapecnn.settings.views_and_grids import FaceLimit, Orientation, Up
    from shapecnn.workers.pool import Workers


@click.command("index")
@collection_argument
@click.argument("index", type=AnyPath(path_type=Path, file_okay=False), shell_complete=complete_index)
@click.option(
    "--model",
    "model_name",
    metavar="RUN|@NAME",
    shell_complete=complete_model,
    help="Model that computes the features: a trained run, or one that needs no training: @imagenet, or the "
    "engineered descriptors @sph, @lfd and @fisher.  [default: the "
    "model of INDEX; @imagenet for a new INDEX]",
)
@click.option("--feature", type=click.Choice(["penultimate", "metric"]),
              help="Feature that queries compare: the input of the classifier, or the metric learned by `shapecnn "
              "metric`.  [default: the feature of INDEX; penultimate for a new INDEX]")  # fmt: skip
@set_option
@trained_orientation_option
@faces_options
@index_up_option
@index_labels_option
@shard_option
@cluster_option
@failures_option
@click.option("--rows", type=click.Choice(["full", "small"]),
              help="How features are stored: in full, 41 kB for a shape of @imagenet, or in one byte a number, and two "
              "bits for views, 5.3 kB.  [default: as in INDEX; small for a new INDEX from 10,000 shapes]")  # fmt: skip
@click.option("--pictures/--no-pictures", default=None, help="Whether to store features of views, which `shapecnn "
              "query --image` needs.  [default: as in INDEX; --pictures for a new INDEX]")  # fmt: skip
@click.option("--kind", type=click.Choice(["auto", "exact", "ivf"]),
              help="How queries search: exact compares all shapes; ivf compares those that an inverted file names, and "
              "needs a trained run, @imagenet or a descriptor but @lfd; auto is ivf from 100,000 shapes where it is "
              "possible.  [default: as in INDEX; auto for a new INDEX]")  # fmt: skip
@click.option("--check", is_flag=True, help="Read and hash every mesh file. Without it, a mesh file whose size and "
              "times are as they were is taken to be unchanged.")  # fmt: skip
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
    shard: str | None,
    cluster: str | None,
    rows: Literal["full", "small"] | None,
    pictures: bool | None,
    kind: Literal["auto", "exact", "ivf"] | None,
    check: bool,
    workers: Workers,
    overwrite: bool,
    skip_errors: bool,
    as_json: bool,
) -> None:
    """Compute the feature of each mesh of COLLECTION and store it in INDEX, which `shapecnn query` searches.

    COLLECTION is a folder, a zip of a folder, or a CSV with the header path,label,split. Running the command again
    updates INDEX: it adds new and changed meshes, and removes deleted meshes. INDEX stores its model, settings, --up
    and --labels, so these options need not be repeated.

    COLLECTION, INDEX and RUN may be URLs, such as s3://bucket/meshes; docs/object-storage.md has all about them.

    --set changes a setting of a model that needs no training. --set backbone=NAME uses another image network: any of
    timm or torchvision, or one of the vision transformers dinov3-s, dinov3-b, dinov3-l, dinov2-s, dinov2-b, dinov2-l,
    clip-b32, clip-b16 and clip-l14. Its weights are downloaded at first use; docs/backbones.md has their licences.

    --set descriptor=sph, which a trained run takes too, joins the feature of the network with an engineered descriptor
    (sph or fisher): the similarity is then the mean of both. A joined INDEX is searched by meshes, not by pictures.

    \b
    Examples:
      shapecnn index meshes/ my-index --up y
      shapecnn index meshes/ my-index --model my-run
      shapecnn index meshes/ my-index --orientation auto
      shapecnn index meshes/ my-index --set backbone=tf_efficientnet_lite2 --set views=20
      shapecnn index meshes/ my-index --set backbone=dinov2-s
      shapecnn index meshes/ my-index --set descriptor=sph
      shapecnn index meshes/ parts/2 --up y --shard 2/8
      shapecnn index meshes/ my-index --up y --cluster ray
      shapecnn index meshes/ my-index --rows small --no-pictures
    """
    from shapecnn.workers.server import start_server

    if cluster is None:
        start_server()  # early: it loads its modules while this process loads its own
    from shapecnn import update_index
    from shapecnn.search.index import FAILURES
    from shapecnn.settings.base import parse_assignments

    with progress_bar("Indexing") as progress:
        update = update_index(
            collection,
            index,
            model_name,
            settings=parse_assignments(assignments),
            feature=feature,
            up=up,
            orientation=orientation,
            labels=labels,
            limit=limit,
            shard=shard,
            cluster=cluster,
            overwrite=overwrite,
            rows=rows,
            pictures=pictures,
            kind=kind,
            check=check,
            device=device,
            workers=workers,
            progress=progress,
            say=note,
            command=command_line(),
        )
    answer = {
        "schema_version": SCHEMA_VERSION,
        "added": update.added,
        "updated": update.updated,
        "unchanged": update.unchanged,
        "relabelled": update.relabelled,
        "removed": update.removed,
        "failed": len(update.failures),
        "total": update.total,
        "seconds": round(update.seconds, 3),
        "failures": [{"path": path, "error": error} for path, error in update.failures],
    }
    counts = ", ".join(f"{answer[key]} {key}" for key in ("added", "updated", "unchanged", "removed", "failed"))
    if update.relabelled:
        verb = "shape has" if update.relabelled == 1 else "shapes have"
        note(f"{update.relabelled} unchanged {verb} another label or split than before.")
    emit(answer, as_json, [f"{counts} in {update.seconds:.1f} s: {index} holds {counted(update.total, 'shape')}"])
    report_failures(update.failures, skip_errors, record=index / FAILURES, then=lambda: suggest_for_index(index))
