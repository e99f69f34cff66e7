"""``shapecnn metric``: what makes shapes of a class alike, learned."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shapecnn.cli.console import SCHEMA_VERSION, emit
from shapecnn.cli.options import device_option, json_option, overwrite_option, quiet_option
from shapecnn.cli.progress import progress_bar
from shapecnn.errors import counted

if TYPE_CHECKING:
    from shapecnn.models.engine import Device


@click.command("metric")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--data", required=True, type=click.Path(path_type=Path), metavar="DIR",
              help="The artefacts that RUN was trained on.")  # fmt: skip
@click.option("--size", type=click.IntRange(1), default=128, show_default=True, help="Rank of the projection.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="That of the learning.")
@overwrite_option
@device_option
@quiet_option
@json_option
def command(run: Path, data: Path, size: int, seed: int, overwrite: bool, device: Device, as_json: bool) -> None:
    """Learn a metric of the features of RUN, on the shapes it was trained on, and keep it in RUN.

    It is used where --feature metric is asked for, in `shapecnn eval` and `shapecnn index`. A metric that is there
    already stays if RUN and the options are the same; else it is replaced.

    \b
    Example:
      shapecnn metric my-run --data views/
      shapecnn eval my-run --data views/ --feature metric
    """
    from shapecnn.storage.table_reader import start_reader

    start_reader()  # it loads pyarrow while this process loads its own
    from shapecnn.artefacts.reading import open_artefacts
    from shapecnn.models.run import open_run
    from shapecnn.training.metric import learn_metric

    opened = open_run(run)
    artefacts = open_artefacts(data)
    with progress_bar("Computing features") as progress:
        learned = learn_metric(
            opened, artefacts, size=size, seed=seed, overwrite=overwrite, device=device, progress=progress
        )
    answer = {"schema_version": SCHEMA_VERSION, "run": str(run), **asdict(learned)}
    figures = ""
    if learned.before is not None and learned.after is not None and learned.after.mAP is not None:
        before, after = learned.before.mAP, learned.after.mAP
        figures = f"; mAP of the {counted(learned.after.count, 'shape')} of val {after:.1%}, {before:.1%} before"
    what = f"Learned in {learned.seconds:.1f} s" if learned.anew else "It is there already"
    emit(answer, as_json, [f"{what}: a metric of rank {learned.size} in {run}{figures}"])
