"""``shapecnn train``: from a config and artefacts to a run."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shapecnn.cli.console import SCHEMA_VERSION, emit, note
from shapecnn.cli.options import (
    command_line,
    device_option,
    json_option,
    overwrite_option,
    quiet_option,
    set_option,
    workers_accepted,
)
from shapecnn.cli.progress import progress_bar

if TYPE_CHECKING:
    from shapecnn.inference import Device


@click.command("train")
@click.argument("config")
@click.option("--data", required=True, type=click.Path(path_type=Path, file_okay=False), help="Artefacts to train on.")
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Where the run goes.")
@set_option
@click.option("--subset", metavar="TRAIN+TEST", help="Only the first shapes of each class, by id, such as 80+20.")
@click.option("--seed", type=click.IntRange(0), help="Another seed draws other weights and another order.")
@click.option("--resume", is_flag=True, help="Go on with a training that was interrupted.")
@click.option("--tensorboard", is_flag=True, help="Log for TensorBoard too, in RUN/tensorboard.")
@overwrite_option
@device_option
@workers_accepted
@quiet_option
@json_option
def command(
    config: str,
    data: Path,
    out: Path,
    assignments: tuple[str, ...],
    subset: str | None,
    seed: int | None,
    resume: bool,
    tensorboard: bool,
    overwrite: bool,
    device: Device,
    as_json: bool,
) -> None:
    """Train the network that CONFIG describes on artefacts of render, voxelize or data import.

    CONFIG is a YAML file, or the name of one that comes with shapecnn. Part of the train split is held out for
    validation, as the config says; the test split is never touched. What was interrupted goes on with --resume and
    ends with the same weights.

    \b
    Example:
      shapecnn render meshes/ views/
      shapecnn train mvcnn-psb --data views/ --out run/
    """
    from shapecnn.config import parse_assignments
    from shapecnn.experiment import load_experiment
    from shapecnn.subset import Subset
    from shapecnn.training.trainer import train

    values = parse_assignments(assignments)
    experiment = load_experiment(config, values if seed is None else {**values, "seed": seed})
    done = train(
        experiment,
        data,
        out,
        command=command_line(),
        subset=Subset.parse(subset) if subset else None,
        device=device,
        resume=resume,
        overwrite=overwrite,
        tensorboard=tensorboard,
        bar=progress_bar,
        say=note,
    )
    if os.environ.get("RANK", "0") != "0":
        return  # of several processes that torchrun started, one tells
    answer = {
        "schema_version": SCHEMA_VERSION,
        "run": str(done.run),
        "epochs": done.epochs,
        "best_epoch": done.best_epoch,
        "validation": asdict(done.validation) if done.validation else None,
        "calibration": asdict(done.calibration) if done.calibration else None,
        "seconds": round(done.seconds, 3),
    }
    figures = done.validation
    told = f", validation accuracy {figures.accuracy:.1%} of {figures.count} shapes" if figures else ""
    if done.calibration is None:
        note("The scores are not calibrated and predict calls nothing unknown: fewer than 20 shapes were held out.")
    else:
        told += f", calibration error {done.calibration.ece:.1%} ({done.calibration.ece_before:.1%} before)"
    lasted = f"{done.epochs} epochs" if done.epochs else "Trained"
    emit(answer, as_json, [f"{lasted} in {done.seconds:.0f} s{told}: {out}"])
