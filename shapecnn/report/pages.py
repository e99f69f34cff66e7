"""Answers as one HTML file that needs nothing else: no script, no network, pictures inside."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shapecnn.collection import Shape
from shapecnn.config import ViewSettings
from shapecnn.errors import ShapecnnError
from shapecnn.index import Hit, Index
from shapecnn.prepare import load_shape, png
from shapecnn.query import Answer
from shapecnn.views import draw_views

SHOWN_VIEWS = 6  # of those drawn, evenly spread
PICTURE = 112  # pixels along one side of a picture on the page


@dataclass(frozen=True, slots=True)
class _Card:
    picture: str | None  # base64 of a PNG
    title: str
    note: str
    score: str | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class _Section:
    query: _Card
    results: list[_Card]


def query_page(answers: Sequence[Answer], index: Index, name: str) -> str:
    """HTML: each query with its views, and below it each result with its views, label and similarity.

    Results are drawn anew from their mesh files; one that is no longer there keeps its place without pictures.
    """
    import jinja2

    settings = index.settings.view_settings().model_copy(update={"size": PICTURE})
    drawn: dict[str, str | None] = {}
    sections = []
    for answer in answers:
        if answer.error is not None:
            sections.append(_Section(_Card(None, answer.path, f"could not be used: {answer.error}"), []))
            continue
        query = _Card(
            _strip(_smaller(answer.pictures)) if answer.pictures is not None else None,
            Path(answer.path).name,
            answer.path,
        )
        cards = []
        for hit in answer.hits:
            if hit.item.id not in drawn:
                drawn[hit.item.id] = _draw(hit, settings)
            cards.append(_Card(drawn[hit.item.id], hit.item.id, hit.item.path, f"{hit.score:.3f}", hit.item.label))
        sections.append(_Section(query, cards))
    template = resources.files("shapecnn.report").joinpath("query.html").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(template).render(
        sections=sections, index=name, settings=index.settings, count=len(index.items)
    )


def _draw(hit: Hit, settings: ViewSettings) -> str | None:
    try:
        shape = _shape_of(hit)
        return _strip(draw_views(load_shape(shape, shape.read(), settings), settings))
    except ShapecnnError:
        return None


def _shape_of(hit: Hit) -> Shape:
    """The shape behind a result: its path is a file, or a file inside a zip."""
    path = Path(hit.item.path)
    for parent in path.parents:
        if parent.is_file():
            return Shape(hit.item.id, None, None, parent, path.relative_to(parent).as_posix())
    return Shape(hit.item.id, None, None, path)


def _smaller(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from PIL import Image

    return np.stack([np.asarray(Image.fromarray(p).resize((PICTURE, PICTURE), Image.Resampling.BOX)) for p in pictures])


def _strip(pictures: NDArray[np.uint8]) -> str:
    """Some of the views side by side, as the base64 text of a PNG."""
    chosen = pictures[:: max(1, len(pictures) // SHOWN_VIEWS)][:SHOWN_VIEWS]
    return base64.b64encode(png(np.concatenate(list(chosen), axis=1))).decode()
