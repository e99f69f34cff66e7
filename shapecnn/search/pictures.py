"""Read photographs and drawings that an index is searched with, in worker processes: their files are not trusted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapecnn.errors import ItemError, UsageError
from shapecnn.settings.views_and_grids import ViewSettings
from shapecnn.views.photographs import convert_picture, read_picture
from shapecnn.workers import pool
from shapecnn.workers.pool import Workers

FILL = {"sphere": 0.83, "view": 0.9}
"""Fraction of the picture side that the longer side of a shape fills, for each value of ``fit``.

For ``sphere``, the fraction is the median over the train split of the Princeton Shape Benchmark. For ``view``, every
shape fills this fraction by definition.
"""


class PictureFile(NamedTuple):
    """Content of a picture file that is not on the disk, such as an upload.

    Attributes:
        name: Name of the picture in results and messages.
        data: Content of the file.
    """

    name: str
    data: bytes


PictureSource = str | Path | PictureFile
"""A picture: the path of a file, or the content of a file."""


def picture_sources(pictures: Any) -> list[PictureSource]:
    """Return one or several pictures as a list.

    Args:
        pictures: One picture, or any number of pictures.

    Raises:
        UsageError: An item is neither a path nor a :class:`PictureFile`.
    """
    many = isinstance(pictures, Iterable) and not isinstance(pictures, str | np.ndarray | PictureFile)
    sources = list(pictures) if many else [pictures]
    for source in sources:
        if not isinstance(source, str | Path | PictureFile):
            raise UsageError(f"{type(source).__name__} is not the path of a picture. Save the picture to a file first.")
    return sources


def picture_name(picture: PictureSource) -> str:
    """Return the name of a picture in results: the path of its file, or its own name."""
    return picture.name if isinstance(picture, PictureFile) else str(picture)


def read_pictures(
    pictures: Sequence[PictureSource], settings: ViewSettings, workers: Workers
) -> list[NDArray[np.uint8] | ItemError]:
    """Convert pictures to views, in worker processes because decoders are native code.

    Args:
        pictures: N pictures.
        settings: Settings of the views of the model that reads them.
        workers: Number of worker processes, with their time and memory limits.

    Returns:
        N views of S × S pixels, (S, S) uint8, in order, with an error in place of each picture that cannot be used.
    """
    tasks = (_Picture(number, each, settings.size, FILL[settings.fit]) for number, each in enumerate(pictures))
    with closing(pool.run(_read, tasks, workers)) as results:
        by_number = {task.number: outcome for task, outcome in results}
    return [by_number[number] for number in range(len(pictures))]


class _Picture(NamedTuple):
    number: int
    source: PictureSource
    size: int
    fill: float


def _read(task: _Picture) -> NDArray[np.uint8]:
    if isinstance(task.source, PictureFile):
        return convert_picture(task.source.data, task.size, task.fill)
    return read_picture(Path(task.source), task.size, task.fill)
