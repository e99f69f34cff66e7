"""From mesh files to the most similar shapes of an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shapecnn.config import Up
from shapecnn.errors import MeshError
from shapecnn.index import Hit, Index, search
from shapecnn.inference import Device, unit_length
from shapecnn.mesh_outputs import mesh_outputs
from shapecnn.models import Model


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one query, read with ``up``: its hits, best first, or the error that stopped it."""

    path: str
    up: Up
    hits: list[Hit]
    error: MeshError | None = None


def answer_queries(
    index: Index, model: Model, paths: Sequence[str], k: int, *, up: Up, device: Device = "auto"
) -> list[Answer]:
    """The ``k`` most similar shapes to each mesh file, in the order given. A file that cannot be used is an answer with
    an error.

    model: what the index was made with, ``index.origin.open()``.  Raises as :func:`mesh_outputs` does.
    """
    outputs = mesh_outputs(model, paths, up=up, device=device)
    features = [unit_length(output.feature) for output in outputs if not isinstance(output, MeshError)]
    hits = iter(search(index, np.stack(features), k) if features else [])
    return [
        Answer(path, up, [], output) if isinstance(output, MeshError) else Answer(path, up, next(hits))
        for path, output in zip(paths, outputs, strict=True)
    ]
