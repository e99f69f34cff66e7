"""From mesh files to the most similar shapes of an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shapecnn.config import Up
from shapecnn.errors import ShapecnnError
from shapecnn.index import Hit, Index, search
from shapecnn.inference import Device, Pictures, encode, open_engine
from shapecnn.mesh import load_mesh
from shapecnn.views import draw_views


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one query: its pictures and hits, best first, or the error that stopped it."""

    path: str
    pictures: Pictures | None
    hits: list[Hit]
    error: ShapecnnError | None = None


def answer_queries(index: Index, paths: Sequence[str], k: int, *, up: Up, device: Device = "auto") -> list[Answer]:
    """The ``k`` most similar shapes to each mesh file, in the order given. A file that cannot be used is an answer with
    an error."""
    settings = index.settings.view_settings(up)
    engine = None
    answers = []
    for path in paths:
        try:
            pictures = draw_views(load_mesh(Path(path), up), settings)
        except ShapecnnError as error:
            answers.append(Answer(path, None, [], error))
            continue
        engine = engine or open_engine(index.settings, device)
        (hits,) = search(index, encode(engine, pictures)[None], k)
        answers.append(Answer(path, pictures, hits))
    return answers
