"""``shapecnn render``: draw views of the meshes of a collection."""

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
    from shapecnn.settings.views_and_grids import FaceLimit, Layout, Up
    from shapecnn.storage.outputs import Objects
    from shapecnn.workers.pool import Workers


@click.command("render")
@collection_argument
@click.argument("out", type=AnyPath(path_type=Path, file_okay=False))
@click.option("--views", type=click.IntRange(1, 360),
              help="Number of views. The cameras circle the upright shape at equal angles, except for 20 and 80 views "
              "(cameras at the corners of a dodecahedron) and 24 views (all rotations of a cube).  "
              "[default: 12; 24 with --orientation auto; 100 with --silhouettes]")  # fmt: skip
@click.option("--size", type=int,
              help="Width and height of a view in pixels.  [default: 224; 256 with --silhouettes]")  # fmt: skip
@click.option("--samples", type=int,
              help="Samples along each side of a pixel, for anti-aliasing.  "
              "[default: 2; 1 with --silhouettes]")  # fmt: skip
@click.option("--fit", type=click.Choice(["sphere", "view"]), default="sphere", show_default=True,
              help="Scale of the shape: the same in all views (sphere), or chosen for each view so that the "
              "shape fills 90 % of the picture (view).")  # fmt: skip
@click.option("--renderer", type=click.Choice(["raster", "pyrender", "open3d"]), default="raster", show_default=True,
              help="Renderer: the built-in rasterizer of shapecnn (raster), OpenGL (pyrender) or Embree "
              "(open3d).")  # fmt: skip
@click.option("--silhouettes", is_flag=True,
              help="Draw the 100 silhouettes of a light field descriptor (Chen et al. 2003): the shape in black, from "
              "all sides, by parallel projection.")  # fmt: skip
@click.option("--layout", type=click.Choice(["sheet", "files"]), default="sheet", show_default=True,
              help="Files to write: one contact sheet per mesh (sheet), or one file per view (files).")  # fmt: skip
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
    views: int | None,
    size: int | None,
    samples: int | None,
    fit: str,
    renderer: str,
    silhouettes: bool,
    layout: Layout,
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
    """Draw views of each mesh of COLLECTION, as grey PNG files in OUT.

    COLLECTION is a folder, a zip of a folder, or a CSV with the header path,label,split. In a folder, the first level
    names the class, and a second level called train, val or test the split, as in chair/train/a.off.

    COLLECTION and OUT may be URLs, such as s3://bucket/meshes; docs/object-storage.md has all about them.

    Running the same command again draws only new and changed meshes, removes the views of deleted meshes, and
    continues where an interrupted run stopped.

    \b
    Examples:
      shapecnn render meshes/ views/ --up y
      shapecnn render meshes/ parts/2 --up y --shard 2/8
      shapecnn render meshes/ views/ --up y --cluster ray
    """
    from shapecnn.settings.views_and_grids import ViewSettings

    numbers = {"views": views, "size": size, "samples": samples}
    settings = ViewSettings.from_options(
        **{key: number for key, number in numbers.items() if number is not None},
        silhouettes=silhouettes,
        fit=fit,
        renderer=renderer,
        orientation=orientation,
        keep_scale=keep_scale,
        up=up,
        simplify=limit.target,
    )
    run_prepare(
        "Drawing",
        collection,
        out,
        settings,
        layout,
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
