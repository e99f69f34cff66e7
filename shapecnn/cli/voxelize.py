"""``shapecnn voxelize``: turn the meshes of a collection into occupancy grids."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shapecnn.cli.batch import run_prepare
from shapecnn.cli.options import (
    AnyPath,
    batch_options,
    cluster_option,
    collection_argument,
    faces_options,
    failures_option,
    keep_scale_option,
    labels_option,
    objects_option,
    orientation_option,
    shard_option,
    up_option,
)

if TYPE_CHECKING:
    from shapecnn.meshes.labels import Labels
    from shapecnn.settings.views_and_grids import FaceLimit, Up
    from shapecnn.storage.outputs import Objects
    from shapecnn.workers.pool import Workers


@click.command("voxelize")
@collection_argument
@click.argument("out", type=AnyPath(path_type=Path, file_okay=False))
@click.option("--resolution", type=int, default=30, show_default=True, help="Cells along each side of the grid.")
@click.option(
    "--padding",
    type=int,
    default=3,
    show_default=True,
    help="Empty cells between the mesh and each end of the grid, along the longest side of the mesh.",
)
@click.option("--fill", type=click.Choice(["solid", "surface"]), default="solid", show_default=True,
              help="Cells to fill: surface and interior of the mesh (solid), or only its "
              "surface (surface).")  # fmt: skip
@click.option(
    "--rotations",
    type=int,
    default=1,
    show_default=True,
    help="Number N of grids per mesh; the mesh is turned about z by 360/N degrees between grids.",
)
@orientation_option
@keep_scale_option
@faces_options
@up_option
@labels_option
@shard_option
@cluster_option
@objects_option
@failures_option
@batch_options
def command(
    collection: Path,
    out: Path,
    resolution: int,
    padding: int,
    fill: str,
    rotations: int,
    orientation: str,
    keep_scale: float | None,
    limit: FaceLimit,
    up: Up,
    labels: Labels,
    shard: str | None,
    cluster: str | None,
    objects: Objects | None,
    workers: Workers,
    overwrite: bool,
    skip_errors: bool,
    as_json: bool,
) -> None:
    """Turn each mesh of COLLECTION into an occupancy grid, as a binvox file in OUT.

    COLLECTION is a folder, a zip of a folder, or a CSV with the header path,label,split. In a folder, the first level
    names the class, and a second level called train, val or test the split, as in chair/train/a.off.

    COLLECTION and OUT may be URLs, such as s3://bucket/meshes; docs/object-storage.md has all about them.

    Running the same command again voxelizes only new and changed meshes, removes the grids of deleted meshes, and
    continues where an interrupted run stopped.

    \b
    Examples:
      shapecnn voxelize meshes/ grids/ --up y --rotations 12
      shapecnn voxelize meshes/ parts/2 --up y --rotations 12 --shard 2/8
      shapecnn voxelize meshes/ grids/ --up y --cluster ray
    """
    from shapecnn.settings.views_and_grids import VoxelSettings

    settings = VoxelSettings.from_options(
        resolution=resolution,
        padding=padding,
        fill=fill,
        rotations=rotations,
        orientation=orientation,
        keep_scale=keep_scale,
        up=up,
        simplify=limit.target,
    )
    run_prepare(
        "Filling",
        collection,
        out,
        settings,
        "files",
        limit.most,
        labels,
        shard,
        cluster,
        objects,
        workers,
        overwrite,
        skip_errors,
        as_json,
    )
