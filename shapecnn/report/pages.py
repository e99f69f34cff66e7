"""Answers as one HTML file that needs nothing else: no script, no network, pictures inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath

import numpy as np

from shapecnn.meshes.collection import Shape
from shapecnn.models.input import InputArray
from shapecnn.report.drawings import Drawing, draw_meshes
from shapecnn.report.html import embedded, fill, link, short
from shapecnn.search.index import Index
from shapecnn.search.neighbours import Hit
from shapecnn.search.query import Answer
from shapecnn.settings.artefacts import ViewSettings
from shapecnn.workers.pool import ONE_A_CORE, Workers

SHOWN_VIEWS = 4  # of those drawn, evenly spread
PICTURE = 128  # pixels along one side of a picture on the page


@dataclass(frozen=True, slots=True)
class _Card:
    picture: str | None  # base64 of a PNG
    title: str  # its file name
    note: str
    link: str | None = None  # to its file, from the page
    score: str | None = None
    label: str | None = None
    view: int | None = None


@dataclass(frozen=True, slots=True)
class _Section:
    query: _Card
    results: list[_Card]
    single: bool = False  # the query is one picture


def query_page(
    answers: Sequence[Answer],
    index: Index,
    name: str,
    page: Path = Path("answer.html"),
    workers: Workers = ONE_A_CORE,
) -> str:
    """HTML: each query with its views, and below it each result with its views, label and similarity; a query that is a
    picture as the network saw it, and of its results the view that it was matched with.

    Meshes are drawn anew from their mesh files, turned as the index has them, also where the model sees grids; one that
    is gone or has changed keeps its place without pictures. Files are named and linked as seen from ``page``, the file
    this is written to.
    """
    plain = ViewSettings.from_options(size=PICTURE, orientation=index.record.orientation)
    views = plain.views if index.views is None else index.views.shape[1]

    def of_query(answer: Answer) -> Drawing:
        path = Path(answer.path)
        return Drawing(Shape(path.name, None, None, path), plain.model_copy(update={"up": answer.up}))

    def of_hit(hit: Hit) -> Drawing:
        changed = {"up": index.record.up} | ({} if hit.view is None else {"views": views})
        return Drawing(hit.shape.source, plain.model_copy(update=changed), hit.shape.sha256)

    shown: dict[Drawing, set[int | None]] = {
        of_query(answer): {None} for answer in answers if answer.error is None and answer.picture is None
    }
    found = [[(hit, of_hit(hit)) for hit in answer.hits] for answer in answers]
    for hit, drawing in chain.from_iterable(found):
        shown.setdefault(drawing, set()).add(hit.view)
    pictures = {
        (drawing, view): _embedded(looks, view)
        for drawing, looks in draw_meshes(shown, workers)
        for view in shown[drawing]
    }
    sections = []
    for answer, hits in zip(answers, found, strict=True):
        if answer.error is not None:
            sections.append(_Section(_Card(None, short(answer.path), f"could not be used: {answer.error}"), []))
            continue
        seen, path = answer.picture, Path(answer.path)
        picture = pictures.get((of_query(answer), None)) if seen is None else embedded(seen)
        cards = [
            _Card(
                pictures.get((drawing, hit.view)),
                PurePosixPath(hit.shape.id).name,
                hit.shape.id,
                link(hit.shape.source.file, page) if hit.shape.source.member is None else None,
                f"{hit.score:.3f}",
                hit.shape.label,
                hit.view,
            )
            for hit, drawing in hits
        ]
        query = _Card(picture, path.name, short(answer.path), link(path, page))
        sections.append(_Section(query, cards, seen is not None))
    model, count = index.record.description, len(index.shapes)
    return fill("query.html", sections=sections, index=short(name), model=model, count=count)


def _embedded(looks: InputArray, view: int | None) -> str:
    """That view, or some of them side by side, as the base64 text of a PNG."""
    if view is not None:
        return embedded(looks[view])
    return embedded(np.concatenate(list(looks[:: len(looks) // SHOWN_VIEWS]), axis=1))
