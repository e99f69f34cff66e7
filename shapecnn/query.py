"""From mesh files to the most similar shapes of an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shapecnn.config import Up
from shapecnn.errors import ShapecnnError
from shapecnn.index import Hit, Index, search
from shapecnn.inference import Device, Engine, open_engine, require_device
from shapecnn.mesh import load_mesh
from shapecnn.views import draw_views


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one query, read with ``up``: its hits, best first, or the error that stopped it."""

    path: str
    up: Up
    hits: list[Hit]
    error: ShapecnnError | None = None


def answer_queries(index: Index, paths: Sequence[str], k: int, *, up: Up, device: Device = "auto") -> list[Answer]:
    """The ``k`` most similar shapes to each mesh file, in the order given. A file that cannot be used is an answer with
    an error.

    Raises UsageError if CUDA is asked for and absent.
    """
    require_device(device)
    settings = index.settings.view_settings(up)
    engine: Engine | None = None
    errors: dict[int, ShapecnnError] = {}
    hits: dict[int, list[Hit]] = {}
    for number, path in enumerate(paths):
        try:
            pictures = draw_views(load_mesh(Path(path), up), settings)
        except ShapecnnError as error:
            errors[number] = error
            continue
        engine = engine or open_engine(index.settings, device)
        engine.start(number, pictures)
    if engine is not None:
        engine.wait()
        numbers, features = zip(*engine.finished(), strict=True)
        hits = dict(zip(numbers, search(index, np.stack(features), k), strict=True))
    return [Answer(path, up, hits.get(number, []), errors.get(number)) for number, path in enumerate(paths)]
