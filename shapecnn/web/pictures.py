"""What pictures of shapes show, and the pictures and rows of a map of a collection, for a Parquet file."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from shapecnn.errors import ItemError
from shapecnn.models.model import Model
from shapecnn.search.index import Index
from shapecnn.search.projection import Layout
from shapecnn.settings.views_and_grids import Orientation, ViewSettings
from shapecnn.storage.map_table import MapRow
from shapecnn.web.files import CollectionMesh, ThumbnailTask, to_thumbnail
from shapecnn.web.kept_pictures import KeptPictures, picture_key
from shapecnn.workers import pool
from shapecnn.workers.pool import Workers
from shapecnn.workers.progress import Progress

SHOWN = 160  # width and height of a view on the page, in pixels


def shown_settings(models: Sequence[Model], orientation: Orientation) -> ViewSettings:
    """Return the settings of the views on the page: those of the first model that sees views, but smaller.

    Args:
        models: Models whose views may be shown.
        orientation: Orientation of the meshes if none of the models sees views.
    """
    for model in models:
        settings = model.input.drawing()
        if isinstance(settings, ViewSettings) and not settings.silhouettes:
            return settings.model_copy(update={"size": SHOWN, "renderer": "raster"})
    return ViewSettings.from_options(size=SHOWN, orientation=orientation)


def thumbnail_task(index: Index, row: int) -> ThumbnailTask:
    """Return what to draw as the thumbnail of a shape of an index, by its row."""
    shape, record = index.shapes[row], index.record
    return ThumbnailTask(CollectionMesh(shape.source, shape.sha256), record.up, record.orientation)


def draw_pictures(index: Index, workers: Workers, progress: Progress) -> list[bytes | None]:
    """Draw a small picture of each shape of an index in worker processes, unless it is kept, and keep it.

    Args:
        index: The index.
        workers: Worker processes, with their time and memory limits.
        progress: Called with the number of finished shapes and the number of all shapes.

    Returns:
        PNG of each shape; None for a shape that is missing, has changed or cannot be drawn.
    """
    count = len(index.shapes)
    kept = KeptPictures()
    tasks = [thumbnail_task(index, row) for row in range(count)]
    pictures = [kept.load(picture_key(task)) for task in tasks]
    missing = {task.mesh.name: row for row, task in enumerate(tasks) if pictures[row] is None}
    progress(count - len(missing), count)
    with closing(pool.run(to_thumbnail, [tasks[row] for row in missing.values()], workers)) as outcomes:
        for done, (task, outcome) in enumerate(outcomes, count - len(missing) + 1):
            if not isinstance(outcome, ItemError):
                pictures[missing[task.mesh.name]] = outcome
                kept.store(picture_key(task), outcome)
            progress(done, count)
    return pictures


def map_rows(index: Index, layout: Layout, pictures: Sequence[bytes | None]) -> list[MapRow]:
    """Return the rows of the Parquet file of a map.

    Args:
        index: The index.
        layout: Its map.
        pictures: PNG of each shape; None for a shape without picture.
    """
    return [
        MapRow(each.id, each.label, each.split, int(family), float(x), float(y), picture, near.tolist(), like.tolist())
        for each, (x, y), family, near, like, picture in zip(
            index.shapes, layout.positions, layout.families, layout.neighbours, layout.similarities, pictures,
            strict=True,
        )
    ]  # fmt: skip
