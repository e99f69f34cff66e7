"""``shapecnn predict``: what is this mesh?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shapecnn.cli.answers import failure_json, note_drawing
from shapecnn.cli.batch import report_failures
from shapecnn.cli.console import SCHEMA_VERSION, emit
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
    from shapecnn.prediction import Prediction


@click.command("predict")
@click.argument("run")
@click.argument("meshes", metavar="MESH...", nargs=-1, required=True)
@device_option
@up_option
@skip_errors_option
@json_option
@workers_accepted
@seed_accepted
def command(run: str, meshes: tuple[str, ...], device: Device, up: Up, skip_errors: bool, as_json: bool) -> None:
    """Say what each MESH is, and how probable that is, by the network trained in RUN.

    Meshes are drawn or filled as RUN was trained; --up may be another than in training.

    \b
    Example:
      shapecnn predict my-run chair.obj table.stl --up y
    """
    from shapecnn.models import open_model
    from shapecnn.prediction import predict

    model = open_model(run)
    note_drawing(model)
    predictions = predict(model, meshes, up=up, device=device)
    emit([_json(prediction) for prediction in predictions], as_json, _table(predictions))
    report_failures([(done.path, str(done.error)) for done in predictions if done.error is not None], skip_errors)


def _json(prediction: Prediction) -> dict[str, object]:
    if prediction.error is not None:
        return failure_json(prediction.path, prediction.error)
    top = [candidate._asdict() for candidate in prediction.top]
    return {"schema_version": SCHEMA_VERSION, "path": prediction.path, **top[0], "top": top}


def _table(predictions: list[Prediction]) -> str | None:
    """A line for each mesh that could be used: path, label, probability, and the classes that come next."""
    usable = [done for done in predictions if done.error is None]
    path_width = max((len(done.path) for done in usable), default=0)
    label_width = max((len(done.top[0].label) for done in usable), default=0)
    lines = []
    for done in usable:
        first, *others = done.top
        following = ", ".join(f"{other.label} {other.score:.1%}" for other in others)
        lines.append(f"{done.path:{path_width}}  {first.label:{label_width}}  {first.score:6.1%}  {following}".rstrip())
    return "\n".join(lines) or None
