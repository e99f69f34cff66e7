"""Show answers to search queries on an HTML page with embedded pictures, without network access."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath

import numpy as np

from shapecnn.meshes.collection import Shape
from shapecnn.meshes.source import load_mesh_input
from shapecnn.models.input import InputArray
from shapecnn.report.drawings import Drawing, draw_meshes
from shapecnn.report.html import display_path, fill, link, png_base64
from shapecnn.search.index import Index
from shapecnn.search.neighbours import Hit
from shapecnn.search.query import Answer
from shapecnn.settings.views_and_grids import ViewSettings
from shapecnn.views import render_views
from shapecnn.workers.pool import ONE_PER_CORE, Workers

SHOWN_VIEWS = 4  # number of views in the picture of a shape, evenly spread over all views
PICTURE = 128  # width and height of one view on the page, in pixels


@dataclass(frozen=True, slots=True)
class _ShapeCard:
    """Query or result on the HTML page: a picture of the shape, its name, and the similarity of a result."""

    picture: str | None  # PNG as base64 text; None if there is no picture
    title: str  # file name of the shape
    note: str  # path or id of the shape, or an error
    link: str | None = None  # URL of the file, relative to the page
    score: str | None = None  # cosine similarity of a result to the query
    label: str | None = None
    view: int | None = None  # number of the view that matched a query picture
    failed: bool = False  # the query could not be used


@dataclass(frozen=True, slots=True)
class _QuerySection:
    """Section of the HTML page that shows one query and its results."""

    query: _ShapeCard
    results: list[_ShapeCard]
    single: bool = False  # the query is one picture, not several views


def query_page(
    answers: Sequence[Answer],
    index: Index,
    name: str,
    page: Path = Path("answer.html"),
    workers: Workers = ONE_PER_CORE,
) -> str:
    """Return the answers to search queries as an HTML page with pictures, labels and similarities of the results.

    Meshes are rendered from their files, in the orientation of the index, even if the model uses voxel grids. A result
    whose file is missing or has changed is listed without a picture. If the query is a picture, the page shows the
    network input computed from the picture, and the best matching view of each result.

    Args:
        answers: Answers to the queries, in the order in which the page shows them.
        index: Index that was searched.
        name: Name or path of the index.
        page: Path of the HTML file. Links on the page are relative to its folder.
        workers: Number of worker processes that draw the meshes, with their time and memory limits.

    Returns:
        The HTML text of the page.
    """
    plain = ViewSettings.from_options(size=PICTURE, orientation=index.record.orientation)
    views = plain.views if index.views is None else index.views.shape[1]

    def of_query(answer: Answer) -> Drawing:
        path = Path(answer.path)
        return Drawing(Shape(path.name, None, None, path), plain.model_copy(update={"up": answer.up}))

    def of_hit(hit: Hit) -> Drawing:
        changed = {"up": index.record.up} | ({} if hit.view is None else {"views": views})
        return Drawing(hit.shape.source, plain.model_copy(update=changed), hit.shape.sha256)

    wanted: dict[Drawing, set[int | None]] = {  # views to show, by number; None means several views side by side
        of_query(answer): {None}
        for answer in answers
        if answer.error is None and answer.picture is None and answer.mesh is None
    }
    results = [[(hit, of_hit(hit)) for hit in answer.hits] for answer in answers]
    for hit, drawing in chain.from_iterable(results):
        wanted.setdefault(drawing, set()).add(hit.view)
    pictures = {
        (drawing, view): _picture(array, view)
        for drawing, array in draw_meshes(wanted, workers)
        for view in wanted[drawing]
    }
    sections = []
    for answer, hits in zip(answers, results, strict=True):
        if answer.error is not None:
            failure = _ShapeCard(None, display_path(answer.path), f"could not be used: {answer.error}", failed=True)
            sections.append(_QuerySection(failure, []))
            continue
        photograph, path = answer.picture, Path(answer.path)
        if answer.mesh is not None:
            mesh = load_mesh_input(answer.mesh, answer.up)
            picture: str | None = _picture(render_views(mesh, plain), None)
        else:
            picture = pictures.get((of_query(answer), None)) if photograph is None else png_base64(photograph)
        cards = [
            _ShapeCard(
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
        query = _ShapeCard(
            picture, path.name, display_path(answer.path), link(path, page) if answer.mesh is None else None
        )
        sections.append(_QuerySection(query, cards, photograph is not None))
    return fill(
        "query.html",
        sections=sections,
        index=display_path(name),
        model=index.record.description,
        count=len(index.shapes),
        several=any(not section.single for section in sections),
        shown=SHOWN_VIEWS,
        views=plain.views,
    )


def _picture(array: InputArray, view: int | None) -> str:
    """Return one view of a shape, or several views side by side if ``view`` is None, as the base64 text of a PNG."""
    if view is not None:
        return png_base64(array[view])
    return png_base64(np.concatenate(list(array[:: len(array) // SHOWN_VIEWS]), axis=1))
