"""``shapecnn query``: find the shapes most similar to a mesh or a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shapecnn.api.records import answer_record
from shapecnn.cli.answers import note_drawing, resolve_up
from shapecnn.cli.batch import report_failures
from shapecnn.cli.completion import complete_index
from shapecnn.cli.console import emit, note
from shapecnn.cli.next_steps import suggest_browser, suggest_page
from shapecnn.cli.options import (
    AnyPath,
    LocalPath,
    device_option,
    faces_options,
    failures_option,
    json_option,
    known_up_option,
    quiet_option,
    skip_errors_option,
    trained_orientation_option,
    workers_options,
)
from shapecnn.cli.progress import progress_bar
from shapecnn.cli.tables import is_drawn, table
from shapecnn.workers.progress import stage

if TYPE_CHECKING:
    from shapecnn.models.device import Device
    from shapecnn.search.query import Answer
    from shapecnn.settings.views_and_grids import FaceLimit, Orientation, Up
    from shapecnn.workers.pool import Workers


@click.command("query")
@click.argument("index", type=AnyPath(path_type=Path), shell_complete=complete_index)
@click.argument("meshes", metavar="[MESH]...", nargs=-1)
@click.option(
    "--image",
    "images",
    metavar="FILE",
    multiple=True,
    help="Search with a picture instead of a mesh: a photograph or drawing of one object on a plain background. Remove "
    "any other background first. Can be repeated.",
)
@click.option("-k", type=click.IntRange(1), default=10, show_default=True, help="Number of results for each query.")
@click.option(
    "--html",
    type=LocalPath(path_type=Path, dir_okay=False),
    help="Also write an HTML page with pictures of the results to this file.",
)
@click.option(
    "--model", "run", metavar="RUN", help="New folder of the run that INDEX was made with, if the run has moved."
)
@device_option
@known_up_option
@faces_options
@trained_orientation_option
@failures_option
@workers_options
@skip_errors_option
@quiet_option
@json_option
def command(
    index: Path,
    meshes: tuple[str, ...],
    images: tuple[str, ...],
    k: int,
    html: Path | None,
    run: str | None,
    device: Device,
    up: Up | None,
    limit: FaceLimit,
    orientation: Orientation | None,
    workers: Workers,
    overwrite: bool,
    skip_errors: bool,
    as_json: bool,
) -> None:
    """Find the shapes of INDEX most similar to each MESH, by the cosine similarity of their features.

    With --image, find the shapes that have the views most similar to a picture. The picture is a PNG, JPEG, WEBP, TIFF,
    BMP, GIF or PPM file of up to 256 MB. The object is separated from the background by the colour of the picture's
    border, and converted to grey like a rendered view. Results for meshes are printed first, then results for pictures,
    in the order of the command line.

    \b
    Examples:
      shapecnn query my-index chair.obj --html answer.html
      shapecnn query my-index --image photo.jpg --image sketch.png
    """
    if not meshes and not images:
        raise click.UsageError("Nothing to search for: give a MESH or --image FILE.")
    from shapecnn.storage.table_reader import start_reader

    start_reader()  # early: it loads pyarrow while this process loads its own modules
    from shapecnn import open_index
    from shapecnn.search.query import require_views
    from shapecnn.storage.files import require_file, write_page

    if html is not None:
        require_file(html, overwrite)
    searcher = open_index(index, run, device=device, workers=workers)
    model, record = searcher.model, searcher.index.record
    model.input.require_orientation(orientation, str(index))
    if images:
        require_views(searcher.index, model, str(index))
    note_drawing(model)
    mesh_up = resolve_up(up if meshes else None, record.up, f"the meshes of {index}")
    with progress_bar("Searching", "meshes") as progress:
        answers = searcher.query(meshes, k, up=mesh_up, limit=limit, progress=progress)
    if images:
        with stage("Searching by pictures"):
            answers += searcher.query_pictures(images, k)
    texts = [_lines(answer) for answer in answers if answer.error is None]
    lines = [line for number, each in enumerate(texts) for line in ([""] * (number > 0) + each)]
    emit([answer_record(answer) for answer in answers], as_json, lines)  # before the page: a full disk must not lose it
    if html is not None:
        from shapecnn.report.pages import query_page

        with stage("Writing the page"):
            write_page(html, query_page(answers, searcher.index, str(index), html, workers), overwrite)
        note(f"Wrote {html}")
    failures = [(answer.path, str(answer.error)) for answer in answers if answer.error is not None]
    report_failures(failures, skip_errors, "files" if images else "meshes", then=lambda: _suggest(index, html, texts))


def _suggest(index: Path, html: Path | None, answered: list[list[str]]) -> None:
    """Suggest the page with pictures; after the page, to search in the browser."""
    if html is not None:
        suggest_browser(index)
    elif answered:
        suggest_page("answer.html")


def _lines(answer: Answer) -> list[str]:
    if is_drawn():
        numbered = enumerate(answer.hits, 1)
        rows = [
            [str(rank), f"{hit.score:.4f}", hit.shape.label or "-", hit.shape.id, str(hit.view)]
            for rank, hit in numbered
        ]
        header = ["", "score", "class", "shape", "view"]
        columns = 5 if any(hit.view is not None for hit in answer.hits) else 4
        return [answer.path, *table([row[:columns] for row in rows], header[:columns], numbers=[0, 1])]
    lines = [answer.path]
    lines += [
        f"{rank:4}  {hit.score:.4f}  {hit.shape.label or '-':20}  {hit.shape.id}"
        + ("" if hit.view is None else f"  view {hit.view}")
        for rank, hit in enumerate(answer.hits, 1)
    ]
    return lines
