"""``shapecnn metric``: learn from the labels how to compare the features of a run (metric learning)."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shapecnn.cli.completion import complete_run
from shapecnn.cli.console import SCHEMA_VERSION, emit
from shapecnn.cli.next_steps import suggest_for_metric
from shapecnn.cli.options import LocalPath, device_option, json_option, overwrite_option, quiet_option
from shapecnn.cli.progress import progress_bar
from shapecnn.errors import counted

if TYPE_CHECKING:
    from shapecnn.models.device import Device


@click.command("metric")
@click.argument("run", type=LocalPath(path_type=Path), shell_complete=complete_run)
@click.option("--data", required=True, type=LocalPath(path_type=Path), metavar="DIR",
              help="Artefacts (rendered views or voxel grids) that RUN was trained on.")  # fmt: skip
@click.option(
    "--size",
    type=click.IntRange(1),
    default=128,
    show_default=True,
    help="Number of dimensions of the learned features.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Random seed of the training.")
@overwrite_option
@device_option
@quiet_option
@json_option
def command(run: Path, data: Path, size: int, seed: int, overwrite: bool, device: Device, as_json: bool) -> None:
    """Learn a metric for the features of RUN from its training shapes, and store it in RUN.

    `shapecnn eval`, `compare` and `index` use the learned metric with --feature metric. An existing metric is kept if
    RUN and the options have not changed, and replaced otherwise.

    \b
    Example:
      shapecnn metric my-run --data views/
      shapecnn eval my-run --data views/ --feature metric
    """
    from shapecnn.storage.table_reader import start_reader

    start_reader()  # early: it loads pyarrow while this process loads its own modules
    from shapecnn.artefacts.reading import open_artefacts
    from shapecnn.models.run import open_run
    from shapecnn.training.metric import learn_metric

    trained = open_run(run)
    artefacts = open_artefacts(data)
    with progress_bar("Computing features") as progress:
        result = learn_metric(
            trained, artefacts, size=size, seed=seed, overwrite=overwrite, device=device, progress=progress
        )
    answer = {"schema_version": SCHEMA_VERSION, "run": str(run), **asdict(result)}
    figures = ""
    if result.before is not None and result.after is not None and result.after.mAP is not None:
        before, after = result.before.mAP, result.after.mAP
        figures = f"; mAP on {counted(result.after.count, 'shape')} of val {after:.1%}, {before:.1%} before"
    action = f"Learned in {result.seconds:.1f} s" if result.anew else "Unchanged"
    emit(answer, as_json, [f"{action}: a metric of rank {result.size} in {run}{figures}"])
    if any(entry.split == "test" for entry in artefacts.entries):
        suggest_for_metric(run, data, "test")
    elif result.after is not None:  # shapes were held out
        suggest_for_metric(run, data, "val")
