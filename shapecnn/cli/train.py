"""``shapecnn train``: train a classifier on artefacts (rendered views or voxel grids)."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shapecnn.cli.completion import complete_config
from shapecnn.cli.console import SCHEMA_VERSION, emit, note
from shapecnn.cli.next_steps import suggest_for_run
from shapecnn.cli.options import (
    AnyPath,
    device_option,
    json_option,
    overwrite_option,
    quiet_option,
    set_option,
)
from shapecnn.cli.progress import duration, progress_bar
from shapecnn.cli.step_search import print_search
from shapecnn.cli.tables import is_drawn, table
from shapecnn.errors import counted
from shapecnn.information.figures import figure_text, figure_title, in_order
from shapecnn.workers.launch import is_first_process

if TYPE_CHECKING:
    from shapecnn.models.calibration import Calibration
    from shapecnn.models.device import Device
    from shapecnn.training.result import Figures, TrainingResult


class _Train(click.Command):
    """Click command whose error message suggests --data and --out if they were given as plain arguments."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments as click does; if there are too many, say how to pass --data and --out."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if not error.message.startswith("Got unexpected extra argument"):
                raise
            raise click.UsageError(
                f"{error.message.rstrip('.')}. Give the data by --data and the run by --out: "
                f"shapecnn train CONFIG --data DIR --out RUN, or shapecnn train --resume RUN",
                ctx,
            ) from None


@click.command("train", cls=_Train)
@click.argument("config", required=False, metavar="CONFIG", shell_complete=complete_config)
@click.option(
    "--data",
    type=AnyPath(path_type=Path, file_okay=False),
    help="Artefacts (rendered views or voxel grids) to train on.",
)
@click.option(
    "--out",
    type=AnyPath(path_type=Path, file_okay=False),
    help="Folder for the run: the trained weights and their metadata.",
)
@set_option
@click.option(
    "--subset",
    metavar="TRAIN+TEST",
    help="Use only the first shapes of each class in order of id: 80+20 means 80 train and 20 test shapes.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    help="Random seed of the initial weights and of the order of the shapes.  [default: the seed in CONFIG]",
)
@click.option("--resume", is_flag=True, help="Continue an interrupted training: shapecnn train --resume RUN.")
@click.option(
    "--find-step",
    is_flag=True,
    help="Train briefly with learning rates from 1/100 to 100 times the one in CONFIG, and print which is best on the "
    "held-out shapes. Nothing is written.",
)
@click.option(
    "--epochs-per-step",
    type=click.IntRange(1),
    metavar="T",
    help="With --find-step: epochs for each learning rate.  [default: 3, or fewer if the stage has fewer]",
)
@click.option("--tensorboard", is_flag=True, help="Also write a TensorBoard log to RUN/tensorboard.")
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
    find_step: bool,
    epochs_per_step: int | None,
    tensorboard: bool,
    overwrite: bool,
    device: Device,
    as_json: bool,
) -> None:
    """Train the network of CONFIG on artefacts made by render, voxelize or data import.

    CONFIG is a YAML file or the name of a built-in config, which `shapecnn configs` lists. Part of the train split is
    held out for validation, as the config defines; the test split is never used.

    DIR and RUN may be URLs, such as s3://bucket/run; docs/object-storage.md has all about them.

    --resume continues an interrupted training, and gives the same weights as a training without interruption. RUN
    stores its config and the path of its data, so neither needs to be given again. Another config or other data are
    refused.

    --find-step tries learning rates for the first stage of gradient descent, each for T epochs from the same initial
    weights, and prints the command that trains with the best one. The epochs of each trial are a whole training: a
    schedule such as cosine is compressed into them.

    \b
    Examples:
      shapecnn render meshes/ views/
      shapecnn train mvcnn-psb --data views/ --out run/
      shapecnn train --resume run/
      shapecnn train mvcnn-finetuned --data views/ --find-step
    """
    from shapecnn.storage.table_reader import start_reader

    start_reader()  # early: it loads pyarrow while this process loads its own modules
    from shapecnn.api.training import find_step as search_step
    from shapecnn.api.training import train
    from shapecnn.settings.base import parse_assignments
    from shapecnn.training.plan import is_finished

    values = parse_assignments(assignments) | ({} if seed is None else {"seed": seed})
    if find_step:
        _require_alone({"--resume": resume, "--tensorboard": tensorboard, "--overwrite": overwrite})
    elif epochs_per_step is not None:
        raise click.UsageError("--epochs-per-step works with --find-step only.")
    if resume:
        config, out = (config, out) if out else (None, _run(config))
    elif config is None:
        raise _missing("config")
    elif data is None:
        raise _missing("data")
    elif find_step:
        words = ["shapecnn", "train", config, "--data", str(data), "--out", str(out or "RUN")]
        words += [word for assignment in assignments for word in ("--set", assignment)]
        words += (["--subset", subset] if subset else []) + ([] if seed is None else ["--seed", str(seed)])
        search = search_step(
            config,
            data,
            settings=values,
            subset=subset,
            device=device,
            epochs=epochs_per_step,
            bar=progress_bar,
            say=note,
        )
        print_search(search, words, as_json)
        return
    elif out is None:
        raise _missing("out")
    finished = resume and is_finished(out)
    training = train(
        config,
        data,
        out,
        settings=values,
        subset=subset,
        device=device,
        resume=resume,
        overwrite=overwrite,
        tensorboard=tensorboard,
        bar=progress_bar,
        say=note,
    )
    if not is_first_process():
        return
    answer = {
        "schema_version": SCHEMA_VERSION,
        "run": str(training.run),
        "epochs": training.epochs,
        "best_epoch": training.best_epoch,
        "validation": asdict(training.validation) if training.validation else None,
        "calibration": asdict(training.calibration) if training.calibration else None,
        "seconds": round(training.seconds, 3),
    }
    if training.target == "class" and training.calibration is None:
        note("The scores are not calibrated and predict reports no unknown shapes: fewer than 20 shapes were held out.")
    emit(answer, as_json, _lines(training, finished))
    suggest_for_run(training.run)


def _lines(training: TrainingResult, finished: bool) -> list[str]:
    """Return one line with the results of a training; at a terminal, a line and a table of the results."""
    validation, calibration = training.validation, training.calibration
    action = counted(training.epochs, "epoch") if training.epochs else "Trained"
    if finished:
        action = f"Already finished, nothing to do: {action}"
    if is_drawn():
        took = f"{action} in {duration(training.seconds)}: {training.run}"
        return [took] if validation is None else [took, *_table(validation, calibration)]
    figures = f", {validation.headline} of {counted(validation.count, 'shape')}" if validation else ""
    if calibration is not None:
        figures += f", calibration error {calibration.ece:.1%} ({calibration.ece_before:.1%} before)"
    return [f"{action} in {training.seconds:.0f} s{figures}: {training.run}"]


def _table(validation: Figures, calibration: Calibration | None) -> list[str]:
    rows = [[figure_title(name), figure_text(name, value)] for name, value in in_order(asdict(validation))]
    if calibration is not None:
        rows.append([f"{figure_title('ece')}, before calibration", figure_text("ece", calibration.ece_before)])
        rows.append([f"{figure_title('ece')}, after calibration", figure_text("ece", calibration.ece)])
    return table(rows, [f"validation on {counted(validation.count, 'held-out shape')}", "result"], [1], indent=2)


def _require_alone(others: dict[str, bool]) -> None:
    """Raise a usage error if --find-step is combined with an option that it cannot use."""
    for name, given in others.items():
        if given:
            raise click.UsageError(
                f"--find-step stores no run, so {name} does not work with it: leave one of them out."
            )


def _run(folder: str | None) -> Path:
    """Return the folder of the run to resume, which click has parsed as CONFIG: ``train --resume RUN``."""
    from shapecnn.storage.objects.url import as_path, is_url

    if folder is None or not (is_url(folder) or Path(folder).is_dir()):
        problem = "" if folder is None else f"{folder} is not the folder of a run. "
        raise click.UsageError(f"{problem}To continue a training: shapecnn train --resume RUN")
    return as_path(folder)


def _missing(name: str) -> click.MissingParameter:
    """Return the error for a missing CONFIG, --data or --out, which every training without --resume needs."""
    context = click.get_current_context()
    return click.MissingParameter(ctx=context, param=next(p for p in context.command.params if p.name == name))
