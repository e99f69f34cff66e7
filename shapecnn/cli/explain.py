"""``shapecnn explain``: why is this mesh what it is told to be?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from shapecnn.cli.answers import chosen_up, failure_json, note_drawing
from shapecnn.cli.batch import report_failures
from shapecnn.cli.console import SCHEMA_VERSION, emit, note
from shapecnn.cli.options import (
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
from shapecnn.errors import ItemError

if TYPE_CHECKING:
    from shapecnn.explanation import Explanation
    from shapecnn.models.engine import Device
    from shapecnn.settings.artefacts import FaceLimit, Orientation, Up
    from shapecnn.workers.pool import Workers

SHOWN = 3  # views told of on a terminal


@click.command("explain")
@click.argument("run")
@click.argument("meshes", metavar="MESH...", nargs=-1, required=True)
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), help="Also write pictures and bars to one HTML file."
)
@click.option("--class", "asked", metavar="LABEL", help="Compare the most probable class with this one: why not LABEL?")
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
    asked: str | None,
    device: Device,
    up: Up | None,
    orientation: Orientation | None,
    limit: FaceLimit,
    workers: Workers,
    overwrite: bool,
    skip_errors: bool,
    as_json: bool,
) -> None:
    """Say which views of each MESH, and which pixels or cells, spoke for the class that the network in RUN gives it.

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
    read_up = chosen_up(up, model.up, f"the meshes that {run} was trained on")
    with progress_bar("Explaining", "meshes") as progress:
        explanations = explain(
            model, meshes, label=asked, up=read_up, device=device, limit=limit, workers=workers, progress=progress
        )
    pairs = list(zip(meshes, explanations, strict=True))
    lines = [_line(explained) for explained in explanations if not isinstance(explained, ItemError)]
    emit(
        [_json(path, explained, html) for path, explained in pairs], as_json, lines
    )  # first: no full disk shall lose it
    if html is not None and all(isinstance(each, ItemError) for each in explanations):
        note(f"{html} was not written: there is nothing to show.")  # one that is there stays
    elif html is not None:
        write_page(html, explanations.page(), overwrite)
        note(f"Wrote {html}")
    report_failures([(path, str(error)) for path, error in pairs if isinstance(error, ItemError)], skip_errors)


def _json(path: str, explained: Explanation | ItemError, page: Path | None) -> dict[str, object]:
    if isinstance(explained, ItemError):
        return failure_json(path, explained)
    label, score = explained.ranked[0]
    evidence = explained.why_not or explained.evidence
    elevations = explained.elevations
    views = [
        {
            "view": number,
            "azimuth": float(azimuth),
            "elevation": None if elevations is None else float(elevations[number]),
            "share": round(float(evidence.shares[number]), 6),
            "contribution": round(float(evidence.contributions[number]), 6),
        }
        for number, azimuth in enumerate(explained.azimuths)
    ]
    return {
        "schema_version": SCHEMA_VERSION,
        "path": path,
        "label": label,
        "score": round(score, 6),
        "class": explained.asked or label,
        "views": views,
        "page": None if page is None else str(page),
    }


def _line(explained: Explanation) -> str:
    """Path, class, probability, and the views that gave most to it."""
    label, score = explained.ranked[0]
    evidence = explained.why_not or explained.evidence
    most = np.argsort(-evidence.shares, kind="stable")[:SHOWN]
    told = ", ".join(f"{number} ({evidence.shares[number]:.0%})" for number in most if evidence.shares[number] > 0)
    kind = "rotations" if explained.elevations is None else "views"
    against = f" and not {explained.asked}" if explained.asked else ""
    return f"{explained.path}  {label} {score:.1%}{against}  {kind} that spoke for it: {told or 'none'}"
