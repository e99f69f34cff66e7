"""``shapecnn query``: what is most like this mesh?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shapecnn.cli.answers import failure_json, note_drawing
from shapecnn.cli.batch import report_failures
from shapecnn.cli.console import SCHEMA_VERSION, emit, say
from shapecnn.cli.options import (
    device_option,
    json_option,
    seed_accepted,
    skip_errors_option,
    up_option,
    workers_accepted,
)

if TYPE_CHECKING:
    from shapecnn.config import Up
    from shapecnn.inference import Device
    from shapecnn.query import Answer


@click.command("query")
@click.argument("index", type=click.Path(path_type=Path))
@click.argument("meshes", metavar="MESH...", nargs=-1, required=True)
@click.option("-k", type=click.IntRange(1), default=10, show_default=True, help="How many results for each mesh.")
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the answers with pictures to one HTML file.",
)
@click.option("--model", "run", metavar="RUN", help="Where the run is that INDEX was made with, if it has moved.")
@device_option
@up_option
@skip_errors_option
@json_option
@workers_accepted
@seed_accepted
def command(
    index: Path,
    meshes: tuple[str, ...],
    k: int,
    html: Path | None,
    run: str | None,
    device: Device,
    up: Up,
    skip_errors: bool,
    as_json: bool,
) -> None:
    """Find the shapes of INDEX most like each MESH, by the cosine similarity of their features.

    \b
    Example:
      shapecnn query my-index chair.obj --html answer.html
    """
    from shapecnn.index import open_index
    from shapecnn.query import answer_queries

    opened = open_index(index)
    model = opened.origin.open(index, run)
    note_drawing(model)
    if up != opened.origin.up:
        say(f"Note: {index} was made with --up {opened.origin.up}; the queries are read with --up {up}.")
    answers = answer_queries(opened, model, meshes, k, up=up, device=device)
    if html is not None:
        from shapecnn.report.pages import query_page
        from shapecnn.storage import write_atomic

        write_atomic(html, query_page(answers, opened, str(index)).encode())
        say(f"Wrote {html}")
    text = "\n\n".join(_text(answer) for answer in answers if answer.error is None)
    emit([_json(answer) for answer in answers], as_json, text or None)
    report_failures([(answer.path, str(answer.error)) for answer in answers if answer.error is not None], skip_errors)


def _json(answer: Answer) -> dict[str, object]:
    if answer.error is not None:
        return failure_json(answer.path, answer.error)
    results = [
        {"id": hit.item.id, "path": hit.item.path, "label": hit.item.label, "score": hit.score} for hit in answer.hits
    ]
    return {"schema_version": SCHEMA_VERSION, "query": answer.path, "results": results}


def _text(answer: Answer) -> str:
    lines = [answer.path]
    lines += [
        f"{rank:4}  {hit.score:.4f}  {hit.item.label or '-':20}  {hit.item.id}"
        for rank, hit in enumerate(answer.hits, 1)
    ]
    return "\n".join(lines)
