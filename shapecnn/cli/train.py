"""``shapecnn train``: from a config and artefacts to a run."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shapecnn.cli.completion import complete_config
from shapecnn.cli.console import SCHEMA_VERSION, emit, note
from shapecnn.cli.options import (
    device_option,
    json_option,
    overwrite_option,
    quiet_option,
    set_option,
)
from shapecnn.cli.progress import progress_bar
from shapecnn.errors import counted

if TYPE_CHECKING:
    from shapecnn.models.engine import Device


class _Train(click.Command):
    """Says which option takes what was given as a further argument, as `render` and others take it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if not error.message.startswith("Got unexpected extra argument"):
                raise
            raise click.UsageError(
                f"{error.message.rstrip('.')}. Name the data by --data and the run by --out: "
                f"shapecnn train CONFIG --data DIR --out RUN, or shapecnn train --resume RUN",
                ctx,
            ) from None


@click.command("train", cls=_Train)
@click.argument("config", required=False, metavar="CONFIG", shell_complete=complete_config)
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="Artefacts to train on.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Where the run goes.")
@set_option
@click.option("--subset", metavar="TRAIN+TEST", help="Only the first shapes of each class, by id, such as 80+20.")
@click.option("--seed", type=click.IntRange(0), help="Another seed draws other weights and another order.")
@click.option("--resume", is_flag=True, help="Go on with a training that was interrupted: --resume RUN is enough.")
@click.option("--tensorboard", is_flag=True, help="Log for TensorBoard too, in RUN/tensorboard.")
@overwrite_option
@device_option
@quiet_option
@json_option
def command(
    config: str | None,
    data: Path | None,
    out: Path | None,
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

    CONFIG is a YAML file, or the name of one that comes with shapecnn: `shapecnn configs` lists them. Part of the train
    split is held out for validation, as the config says; the test split is never touched.

    What was interrupted goes on with --resume and ends with the same weights. RUN knows its config and its data; other
    values than those it was begun with are refused.

    \b
    Examples:
      shapecnn render meshes/ views/
      shapecnn train mvcnn-psb --data views/ --out run/
      shapecnn train --resume run/
    """
    from shapecnn.artefacts.subset import Subset
    from shapecnn.settings.core import parse_assignments
    from shapecnn.training.plan import is_finished, new_plan, plan_to_resume, stored_plan
    from shapecnn.training.trainer import finished_training, train

    values = parse_assignments(assignments) | ({} if seed is None else {"seed": seed})
    part = Subset.parse(subset) if subset else None
    if resume:
        config, out = (config, out) if out else (None, _run(config))
        plan = plan_to_resume(out, config, values, data, part)
        if stored_plan(out) is None:
            note(f"There is no training in {out} to go on with: one begins there.")
    else:
        if config is None:
            raise _missing("config")
        if data is None:
            raise _missing("data")
        if out is None:
            raise _missing("out")
        plan = new_plan(config, values, data, part)
    finished = resume and is_finished(out)
    if finished and data is None:
        done = finished_training(out)  # its data may be gone
    else:
        done = train(
            plan,
            out,
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
    told = f", validation accuracy {figures.accuracy:.1%} of {counted(figures.count, 'shape')}" if figures else ""
    if done.calibration is None:
        note("The scores are not calibrated and predict calls nothing unknown: fewer than 20 shapes were held out.")
    else:
        told += f", calibration error {done.calibration.ece:.1%} ({done.calibration.ece_before:.1%} before)"
    lasted = counted(done.epochs, "epoch") if done.epochs else "Trained"
    again = "It was finished already and nothing was done: " if finished else ""
    emit(answer, as_json, [f"{again}{lasted} in {done.seconds:.0f} s{told}: {out}"])


def _run(folder: str | None) -> Path:
    """What stands where CONFIG would, after --resume and without --out: the folder of a run."""
    if folder is None or not Path(folder).is_dir():
        found = "" if folder is None else f"{folder} is no folder of a run. "
        raise click.UsageError(f"{found}To go on with a training: shapecnn train --resume RUN")
    return Path(folder)


def _missing(name: str) -> click.MissingParameter:
    """The complaint that CONFIG or an option of this name, which only --resume can do without, is missing."""
    context = click.get_current_context()
    return click.MissingParameter(ctx=context, param=next(p for p in context.command.params if p.name == name))
