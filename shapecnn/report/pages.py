"""Answers as one HTML file that needs nothing else: no script, no network, pictures inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shapecnn.collection import Shape, content_hash
from shapecnn.config import ViewSettings
from shapecnn.errors import ShapecnnError
from shapecnn.index import Index
from shapecnn.prepare import load_shape
from shapecnn.query import Answer
from shapecnn.report.html import embedded, fill
from shapecnn.views import draw_views

SHOWN_VIEWS = 4  # of those drawn, evenly spread
PICTURE = 128  # pixels along one side of a picture on the page


@dataclass(frozen=True, slots=True)
class _Card:
    picture: str | None  # base64 of a PNG
    title: str
    note: str
    score: str | None = None
    label: str | None = None
    view: int | None = None


@dataclass(frozen=True, slots=True)
class _Section:
    query: _Card
    results: list[_Card]
    single: bool = False  # the query is one picture


def query_page(answers: Sequence[Answer], index: Index, name: str) -> str:
    """HTML: each query with its views, and below it each result with its views, label and similarity; a query that is a
    picture as the network saw it, and of its results the view that it was matched with.

    Meshes are drawn anew from their mesh files, turned as the index has them, also where the model sees grids; one that
    is gone or has changed keeps its place without pictures.
    """
    drawn: dict[tuple[str, int | None], str | None] = {}
    up, orientation = index.origin.up, index.origin.orientation
    plain = ViewSettings.from_options(size=PICTURE, orientation=orientation)
    views = plain.views if index.views is None else index.views.shape[1]
    sections = []
    for answer in answers:
        if answer.error is not None:
            sections.append(_Section(_Card(None, answer.path, f"could not be used: {answer.error}"), []))
            continue
        path = Path(answer.path)
        shown = answer.picture
        picture = (
            embedded(shown)
            if shown is not None
            else _draw(Shape(path.name, None, None, path), plain.model_copy(update={"up": answer.up}))
        )
        query = _Card(picture, path.name, answer.path)
        cards = []
        for hit in answer.hits:
            item = hit.item
            if (item.id, hit.view) not in drawn:
                settings = plain.model_copy(update={"up": up} if hit.view is None else {"up": up, "views": views})
                drawn[item.id, hit.view] = _draw(item.shape, settings, item.sha256, hit.view)
            cards.append(_Card(drawn[item.id, hit.view], item.id, item.path, f"{hit.score:.3f}", item.label, hit.view))
        sections.append(_Section(query, cards, shown is not None))
    return fill("query.html", sections=sections, index=name, model=index.origin.description, count=len(index.items))


def _draw(shape: Shape, settings: ViewSettings, sha: str | None = None, view: int | None = None) -> str | None:
    """Some of the views side by side, or that one, as the base64 text of a PNG; None if the file, with this hash, is
    gone."""
    try:
        data = shape.read()
        if sha is not None and content_hash(shape, data) != sha:
            return None
        pictures = draw_views(load_shape(shape, data, settings), settings)
    except ShapecnnError:
        return None
    if view is not None:
        return embedded(pictures[view])
    return embedded(np.concatenate(list(pictures[:: len(pictures) // SHOWN_VIEWS]), axis=1))
