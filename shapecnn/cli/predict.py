"""``shapecnn predict``: predict the class, or a quantity, of each mesh with a trained network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shapecnn.api.records import prediction_record
from shapecnn.cli.answers import note_drawing, resolve_up
from shapecnn.cli.batch import report_failures
from shapecnn.cli.completion import complete_run
from shapecnn.cli.console import emit
from shapecnn.cli.next_steps import suggest_for_predictions
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
from shapecnn.cli.tables import is_drawn, table

if TYPE_CHECKING:
    from shapecnn.models.device import Device
    from shapecnn.predict import Candidate, Prediction
    from shapecnn.settings.views_and_grids import FaceLimit, Orientation, Up
    from shapecnn.workers.pool import Workers


@click.command("predict")
@click.argument("run", shell_complete=complete_run)
@click.argument("meshes", metavar="MESH...", nargs=-1, required=True)
@click.option(
    "--evidence",
    type=click.IntRange(0, 100),
    default=3,
    show_default=True,
    help="Number of training shapes to list for each mesh, the most similar first.",
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
    run: str,
    meshes: tuple[str, ...],
    evidence: int,
    device: Device,
    up: Up | None,
    limit: FaceLimit,
    orientation: Orientation | None,
    workers: Workers,
    overwrite: bool,  # noqa: ARG001  # of --failures
    skip_errors: bool,
    as_json: bool,
) -> None:
    """Predict the class of each MESH, with its probability, using the trained network in RUN.

    A mesh is reported as unknown if its similarity to the training shapes is below a threshold. The threshold is set so
    that at most 1 in 20 of the shapes held out from training fall below it. In JSON an unknown mesh has unknown: true,
    and keeps the label of its most probable class.

    The second class is printed after "or", as in desk 48 % or table 45 %, if it is at least half as probable as the
    first. In JSON, alternative is this second class.

    If RUN was trained to predict a quantity (area or volume), its value is printed in place of classes, for the mesh
    scaled to radius 1.

    Meshes are drawn or voxelized with the settings that RUN was trained with; only --up can differ.

    \b
    Example:
      shapecnn predict my-run chair.obj table.stl --up y
    """
    from shapecnn import open_model

    predictor = open_model(run, device=device, workers=workers)
    model = predictor.model
    model.input.require_orientation(orientation, run)
    note_drawing(model)
    mesh_up = resolve_up(up, model.up, f"the meshes that {run} was trained on")
    with progress_bar("Predicting", "meshes") as progress:
        predictions = predictor.predict(meshes, up=mesh_up, evidence=evidence, limit=limit, progress=progress)
    emit([prediction_record(prediction) for prediction in predictions], as_json, _lines(predictions))
    classified = [each for each in predictions if each.error is None and each.target is None]
    doubtful = [each.path for each in classified if each.unknown or each.alternative is not None]
    report_failures(
        [(each.path, str(each.error)) for each in predictions if each.error is not None],
        skip_errors,
        then=lambda: suggest_for_predictions(run, doubtful, [each.path for each in classified], up),
    )


def _lines(predictions: list[Prediction]) -> list[str]:
    """Return the predictions as lines of text: path and quantity, or path, label, probability and the next classes.

    The most similar training shapes follow on a second line. For an unknown shape the label is ``unknown`` without a
    probability, and the most probable class is listed with the next classes.
    """
    usable = [each for each in predictions if each.error is None]
    if is_drawn():
        return _tables(usable)
    if any(each.target is not None for each in usable):
        width = max(len(each.path) for each in usable)
        return [f"{each.path:{width}}  {each.target} {each.value:.4g}" for each in usable]
    path_width = max((len(each.path) for each in usable), default=0)
    label_width = max((len(_label(each)) for each in usable), default=0)
    lines = []
    for each in usable:
        classes = list(map(_candidate, each.top))
        first = " " * 6 if each.unknown else f"{each.top[0].score:6.1%}"
        following = ", ".join(classes if each.unknown else classes[1:])
        if each.alternative is not None and not each.unknown:
            following = f"or {following}"  # the second class may be the right one
        lines.append(f"{each.path:{path_width}}  {_label(each):{label_width}}  {first}  {following}".rstrip())
        if each.evidence:
            near = ", ".join(f"{shape.id} ({shape.label}, {shape.similarity:.2f})" for shape in each.evidence)
            lines.append(f"{'':{path_width}}  like {near}")
    return lines


def _tables(usable: list[Prediction]) -> list[str]:
    """Return the lines of a table for people: a row for each mesh, above rows for the training shapes most like it."""
    if any(each.target is not None for each in usable):
        rows = [[each.path, f"{each.value:.4g}"] for each in usable]
        return table(rows, ["mesh", f"{usable[0].target} at radius 1"], [1])
    rows = []
    for each in usable:
        score = "" if each.unknown else f"{each.top[0].score:.1%}"
        rows.append([each.path, _label(each), score, _other(each), ""])
        rows += [[f"  {shape.id}", shape.label, "", "", f"{shape.similarity:.2f}"] for shape in each.evidence or []]
    if any(each.evidence for each in usable):
        header = ["mesh, and the training shapes most like it", "class", "probability", "other class", "similarity"]
        return table(rows, header, [2, 4])
    return table([row[:4] for row in rows], ["mesh", "class", "probability", "other class"], [2])


def _other(prediction: Prediction) -> str:
    """Return the class that an unknown shape is most like, or the second most probable class of another shape.

    "or" stands before a second class that is at least half as probable as the first, because it may be the right one.
    """
    if prediction.unknown:
        return f"most like {_candidate(prediction.top[0])}"
    if len(prediction.top) < 2:
        return ""
    return f"{'' if prediction.alternative is None else 'or '}{_candidate(prediction.top[1])}"


def _candidate(candidate: Candidate) -> str:
    return f"{candidate.label} {candidate.score:.1%}"


def _label(prediction: Prediction) -> str:
    return "unknown" if prediction.unknown else prediction.top[0].label
