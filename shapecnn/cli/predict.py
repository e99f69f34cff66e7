"""``shapecnn predict``: predict the class, or a quantity, of each mesh with a trained network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shapecnn.api.records import prediction_record
from shapecnn.cli.answers import note_drawing, resolve_up
from shapecnn.cli.batch import report_failures
from shapecnn.cli.completion import complete_run
from shapecnn.cli.console import emit
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
    from shapecnn.models.familiarity import Neighbour
    from shapecnn.predict import Prediction
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
    report_failures([(each.path, str(each.error)) for each in predictions if each.error is not None], skip_errors)


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
        classes = [f"{candidate.label} {candidate.score:.1%}" for candidate in each.top]
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
    """Return the lines of a table for people, with further rows for further classes and similar training shapes."""
    if any(each.target is not None for each in usable):
        rows = [[each.path, f"{each.value:.4g}"] for each in usable]
        return table(rows, ["mesh", f"{usable[0].target} at radius 1"], [1])
    rows = []
    for each in usable:
        first = [each.path, _label(each), "" if each.unknown else f"{each.top[0].score:.1%}"]
        others = _others(each)
        similar = [[_training_shape(shape), f"{shape.similarity:.2f}"] for shape in each.evidence or []]
        for place in range(max(len(others), len(similar), 1)):
            start = ["", "", ""] if place else first
            other = others[place] if place < len(others) else ""
            rows.append([*start, other, *(similar[place] if place < len(similar) else ["", ""])])
    columns = 6 if any(each.evidence for each in usable) else 4
    header = ["mesh", "class", "probability", "other classes", "most similar training shapes", "similarity"]
    return table([row[:columns] for row in rows], header[:columns], [2, 5])


def _others(prediction: Prediction) -> list[str]:
    """Return the classes that a person should know beside the printed one: what it could be instead, or is most like.

    The first class of an unknown shape is what it is most like. A second class at least half as probable stands behind
    "or". Without these, the second class is named alone.
    """
    classes = [f"{candidate.label} {candidate.score:.1%}" for candidate in prediction.top[:2]]
    if prediction.unknown:
        classes[0] = f"most like {classes[0]}"
        classes = classes[: 1 if prediction.alternative is None else 2]
    else:
        classes = classes[1:]
    if prediction.alternative is not None:
        classes[-1] = f"or {classes[-1]}"
    return classes


def _training_shape(shape: Neighbour) -> str:
    """Return the id of a training shape, with its label unless the id begins with it."""
    return shape.id if shape.id.startswith(f"{shape.label}/") else f"{shape.id} ({shape.label})"


def _label(prediction: Prediction) -> str:
    return "unknown" if prediction.unknown else prediction.top[0].label
