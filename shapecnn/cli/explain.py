"""``shapecnn explain``: show which views and which pixels of a mesh led to its predicted class."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shapecnn.api.records import explanation_record
from shapecnn.cli.answers import note_drawing, resolve_up
from shapecnn.cli.batch import report_failures
from shapecnn.cli.completion import complete_run
from shapecnn.cli.console import emit, note
from shapecnn.cli.next_steps import suggest_page
from shapecnn.cli.options import (
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
from shapecnn.errors import ItemError
from shapecnn.workers.progress import stage

if TYPE_CHECKING:
    from shapecnn.explanation import Explanation
    from shapecnn.models.device import Device
    from shapecnn.settings.views_and_grids import FaceLimit, Orientation, Up
    from shapecnn.workers.pool import Workers

SHOWN = 3  # views listed on the terminal


@click.command("explain")
@click.argument("run", shell_complete=complete_run)
@click.argument("meshes", metavar="MESH...", nargs=-1, required=True)
@click.option(
    "--html",
    type=LocalPath(path_type=Path, dir_okay=False),
    help="Also write an HTML page to this file. It shows each view with a heat map, and the share of the view in the "
    "score of the predicted class.",
)
@click.option(
    "--class", "label", metavar="LABEL", help="Explain why the predicted class was preferred to the class LABEL."
)
@device_option
@known_up_option
@trained_orientation_option
@faces_options
@failures_option
@workers_options
@skip_errors_option
@quiet_option
@json_option
def command(
    run: str,
    meshes: tuple[str, ...],
    html: Path | None,
    label: str | None,
    device: Device,
    up: Up | None,
    orientation: Orientation | None,
    limit: FaceLimit,
    workers: Workers,
    overwrite: bool,
    skip_errors: bool,
    as_json: bool,
) -> None:
    """Show which views of each MESH, and which pixels or cells, led the network of RUN to its prediction.

    Each view that raises the score of the predicted class gets a share of the total increase. The shares sum to 1.

    \b
    Example:
      shapecnn explain my-run chair.obj --class table --html why.html
    """
    from shapecnn import explain, open_model
    from shapecnn.storage.files import require_file, write_page

    if html is not None:
        require_file(html, overwrite)
    model = open_model(run).model
    model.input.require_orientation(orientation, run)
    note_drawing(model)
    mesh_up = resolve_up(up, model.up, f"the meshes that {run} was trained on")
    with progress_bar("Explaining", "meshes") as progress:
        explanations = explain(
            model, meshes, label=label, up=mesh_up, device=device, limit=limit, workers=workers, progress=progress
        )
    pairs = list(zip(meshes, explanations, strict=True))
    usable = [result for result in explanations if not isinstance(result, ItemError)]
    lines = _table(usable) if is_drawn() else list(map(_line, usable))
    # before the page: a full disk must not lose the result
    page = None if html is None else str(html)
    emit([explanation_record(path, result, page) for path, result in pairs], as_json, lines)
    if html is not None and all(isinstance(each, ItemError) for each in explanations):
        note(f"{html} was not written, because no mesh could be used.")  # an existing page stays
    elif html is not None:
        with stage("Writing the page"):
            write_page(html, explanations.page(), overwrite)
        note(f"Wrote {html}")
    report_failures(
        [(path, str(error)) for path, error in pairs if isinstance(error, ItemError)],
        skip_errors,
        then=lambda: suggest_page("why.html") if html is None and usable else None,
    )


def _line(result: Explanation) -> str:
    """Return the printed line for one mesh: path, class, probability, and the views that favour the class most."""
    label, score = result.ranked[0]
    other = f", not {result.asked}" if result.asked else ""
    return f"{result.path}  {label} {score:.1%}{other}  {_kind(result)} in favour: {_shares(result)}"


def _table(results: list[Explanation]) -> list[str]:
    """Return the same as a table for people."""
    rows = [
        [each.path, each.ranked[0][0], f"{each.ranked[0][1]:.1%}", each.asked or "", _shares(each)] for each in results
    ]
    if not rows:
        return []
    header = ["mesh", "class", "probability", "and not", f"{_kind(results[0])} in favour (share)"]
    columns = [0, 1, 2, 3, 4] if any(each.asked for each in results) else [0, 1, 2, 4]
    return table([[row[k] for k in columns] for row in rows], [header[k] for k in columns], [2])


def _kind(result: Explanation) -> str:
    return "rotations" if result.elevations is None else "views"


def _shares(result: Explanation) -> str:
    """Return the numbers of the views that favour the class most, each with its share."""
    import numpy as np

    shares = (result.why_not or result.evidence).shares
    largest = np.argsort(-shares, kind="stable")[:SHOWN]
    return ", ".join(f"{number} ({shares[number]:.0%})" for number in largest if shares[number] > 0) or "none"
