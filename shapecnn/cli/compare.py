"""``shapecnn compare``: evaluate several models on the same shapes and test which is better."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shapecnn.cli.completion import complete_model
from shapecnn.cli.console import emit, note
from shapecnn.cli.next_steps import suggest_for_comparison
from shapecnn.cli.options import (
    LocalPath,
    device_option,
    json_option,
    overwrite_option,
    quiet_option,
    set_option,
)
from shapecnn.cli.progress import progress_bar
from shapecnn.cli.tables import titled, wrapped
from shapecnn.workers.progress import stage

if TYPE_CHECKING:
    from shapecnn.evaluation.settings import Protocol
    from shapecnn.models.device import Device
    from shapecnn.models.model import Split
    from shapecnn.models.output import FeatureName


@click.command("compare")
@click.argument("models", metavar="RUN|@NAME[:FEATURE]...", nargs=-1, required=True,
                shell_complete=complete_model)  # fmt: skip
@click.option("--data", required=True, multiple=True, type=LocalPath(path_type=Path), metavar="DIR",
              help="Artefacts (rendered views or voxel grids) to evaluate on. Repeat the option if the models need "
              "different artefacts: each model uses the first folder made with its settings.")  # fmt: skip
@click.option("--out", required=True, type=LocalPath(path_type=Path, file_okay=False), metavar="DIR",
              help="Folder for comparison.json, .csv and .md, pr.svg, pr.png and report.html.")  # fmt: skip
@click.option("--split", type=click.Choice(["train", "val", "test"]), default="test", show_default=True,
              help="Split to evaluate; train and val are the splits that the RUNs were trained with.")  # fmt: skip
@click.option("--protocol", type=click.Choice(["mvcnn", "shapenets", "train-gallery", "shrec16", "shrec17"]),
              default="mvcnn", show_default=True,
              help="Retrieval protocol: which shapes are queries and which are the gallery.")  # fmt: skip
@click.option("--feature", type=click.Choice(["penultimate", "scores", "metric"]), default="penultimate",
              show_default=True,
              help="Feature that retrieval compares, for models given without :FEATURE.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="Random seed of the 95 % intervals and of the significance tests.")  # fmt: skip
@click.option("--published", is_flag=True,
              help="Also draw published precision-recall curves of other methods on ModelNet40.")  # fmt: skip
@set_option
@overwrite_option
@device_option
@quiet_option
@json_option
def command(
    models: tuple[str, ...],
    data: tuple[Path, ...],
    out: Path,
    split: Split,
    protocol: Protocol,
    feature: FeatureName,
    seed: int,
    published: bool,
    assignments: tuple[str, ...],
    overwrite: bool,
    device: Device,
    as_json: bool,
) -> None:
    """Evaluate several models on the same shapes, and test which differences between models are significant.

    Shapes that are not in the artefacts of all models are left out. The same model can be given several times with
    different features: RUN RUN:scores RUN:metric. Models that need no training are @imagenet (a network trained on
    photographs) and the engineered descriptors @sph (spherical harmonics), @lfd (light field) and @fisher (Fisher
    vectors).

    \b
    Examples:
      shapecnn compare my-run @imagenet --data views/ --out comparison/
      shapecnn compare views-run voxels-run voxels-run:scores --data views/ --data grids/ --out comparison/
      shapecnn compare my-run @fisher --data views/ --out comparison/
    """
    from shapecnn.storage.table_reader import start_reader

    start_reader()  # early: it loads pyarrow while this process loads its own modules
    from shapecnn import EvaluationSettings, compare
    from shapecnn.report.comparison import lines, write_comparison
    from shapecnn.settings.base import parse_assignments
    from shapecnn.storage.own import require_report

    require_report("comparison.json", out, overwrite)
    settings = EvaluationSettings(split=split, protocol=protocol, feature=feature, seed=seed)
    model_settings = parse_assignments(assignments)
    comparison = compare(models, data, settings, model_settings=model_settings, device=device, bar=progress_bar)
    # before the report: a full disk must not lose the result
    emit(comparison.to_json(), as_json, wrapped(lines(comparison, titled)))
    with stage("Writing the report"):
        write_comparison(out, comparison, overwrite, published=published)
    note(f"Wrote {out / 'report.html'}")
    suggest_for_comparison(comparison, *(() if protocol == "mvcnn" else ("--protocol", protocol)))
