"""``shapecnn predict``: what is this mesh?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shapecnn.cli.answers import chosen_up, failure_json, note_drawing
from shapecnn.cli.batch import report_failures
from shapecnn.cli.console import SCHEMA_VERSION, emit
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

if TYPE_CHECKING:
    from shapecnn.models.engine import Device
    from shapecnn.predict import Prediction
    from shapecnn.settings.artefacts import FaceLimit, Orientation, Up
    from shapecnn.workers.pool import Workers


@click.command("predict")
@click.argument("run")
@click.argument("meshes", metavar="MESH...", nargs=-1, required=True)
@click.option(
    "--evidence",
    type=click.IntRange(0, 100),
    default=3,
    show_default=True,
    help="How many of the most similar training shapes to name.",
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
    """Say what each MESH is, and how probable that is, by the network trained in RUN.

    A mesh that resembles nothing RUN was trained on is told to be unknown; of the shapes held out of its training 1 in
    20 or fewer are. In JSON it keeps the label of the most probable class and has unknown: true.

    Meshes are drawn or filled as those were that RUN was trained on, also where --up is another.

    \b
    Example:
      shapecnn predict my-run chair.obj table.stl --up y
    """
    from shapecnn import open_model

    predictor = open_model(run, device=device, workers=workers)
    model = predictor.model
    model.input.require_orientation(orientation, run)
    note_drawing(model)
    read_up = chosen_up(up, model.up, f"the meshes that {run} was trained on")
    with progress_bar("Predicting", "meshes") as progress:
        predictions = predictor.predict(meshes, up=read_up, evidence=evidence, limit=limit, progress=progress)
    emit([_json(prediction) for prediction in predictions], as_json, _lines(predictions))
    report_failures([(done.path, str(done.error)) for done in predictions if done.error is not None], skip_errors)


def _json(prediction: Prediction) -> dict[str, object]:
    if prediction.error is not None:
        return failure_json(prediction.path, prediction.error)
    top = [candidate._asdict() for candidate in prediction.top]
    near = prediction.evidence
    return {
        "schema_version": SCHEMA_VERSION,
        "path": prediction.path,
        **top[0],
        "top": top,
        "unknown": prediction.unknown,
        "familiarity": prediction.familiarity,
        "threshold": prediction.threshold,
        "evidence": None if near is None else [neighbour._asdict() for neighbour in near],
    }


def _lines(predictions: list[Prediction]) -> list[str]:
    """A line for each mesh that could be used: path, label, probability, and the classes that come next; below it the
    training shapes that are most similar. What is unknown has no label: all classes come next."""
    usable = [done for done in predictions if done.error is None]
    path_width = max((len(done.path) for done in usable), default=0)
    label_width = max((len(_label(done)) for done in usable), default=0)
    lines = []
    for done in usable:
        shown = [f"{candidate.label} {candidate.score:.1%}" for candidate in done.top]
        first = " " * 6 if done.unknown else f"{done.top[0].score:6.1%}"
        following = ", ".join(shown if done.unknown else shown[1:])
        lines.append(f"{done.path:{path_width}}  {_label(done):{label_width}}  {first}  {following}".rstrip())
        if done.evidence:
            near = ", ".join(f"{shape.id} ({shape.label}, {shape.similarity:.2f})" for shape in done.evidence)
            lines.append(f"{'':{path_width}}  like {near}")
    return lines


def _label(done: Prediction) -> str:
    return "unknown" if done.unknown else done.top[0].label
