"""``shapecnn eval``: evaluate the predictions and the retrieval of a model on one split."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shapecnn.cli.completion import complete_model
from shapecnn.cli.console import emit, note
from shapecnn.cli.next_steps import suggest_for_evaluation
from shapecnn.cli.options import (
    AnyPath,
    LocalPath,
    device_option,
    json_option,
    overwrite_option,
    quiet_option,
    set_option,
)
from shapecnn.cli.progress import progress_bar
from shapecnn.cli.tables import wrapped
from shapecnn.workers.progress import stage

if TYPE_CHECKING:
    from shapecnn.evaluation.settings import Protocol, Task
    from shapecnn.models.device import Device
    from shapecnn.models.model import Split
    from shapecnn.models.output import FeatureName


@click.command("eval")
@click.argument("model", metavar="RUN|@NAME", shell_complete=complete_model)
@click.option("--data", required=True, type=AnyPath(path_type=Path), metavar="DIR",
              help="Artefacts to evaluate on, made by render, voxelize or data import.")  # fmt: skip
@click.option("--split", type=click.Choice(["train", "val", "test"]), default="test", show_default=True,
              help="Split to evaluate; train and val are the splits that RUN was trained with.")  # fmt: skip
@click.option("--task", type=click.Choice(["both", "classification", "regression", "retrieval"]), default="both",
              show_default=True, help="Evaluate classification (of a run that predicts area or volume, regression), "
              "retrieval or both.")  # fmt: skip
@click.option("--protocol", type=click.Choice(["mvcnn", "shapenets", "train-gallery", "shrec16", "shrec17"]),
              default="mvcnn", show_default=True,
              help="Retrieval protocol: which shapes are queries and which are the gallery.")  # fmt: skip
@click.option("--feature", type=click.Choice(["penultimate", "scores", "metric"]), default="penultimate",
              show_default=True, help="Feature that retrieval compares: the input of the classifier (penultimate), "
              "the class probabilities (scores), or the metric learned by `shapecnn metric` (metric).")  # fmt: skip
@click.option("--subset", "subset_text", metavar="TRAIN+TEST",
              help="Use only the first shapes of each class in order of id: 80+20 means 80 train "
              "and 20 test shapes.")  # fmt: skip
@click.option("--class-prior", "prior", metavar="uniform|FILE.csv",
              help="Also report accuracy and mAP for another class mix: uniform, or the shares in a CSV file with the "
              "columns class and share.")  # fmt: skip
@click.option("--exclude-duplicates", is_flag=True,
              help="Also report the results without copies of train shapes or of other evaluated shapes.")  # fmt: skip
@click.option("--out", type=LocalPath(path_type=Path, file_okay=False), metavar="DIR",
              help="Also write evaluation.json, predictions.parquet, plots and report.html to DIR.")  # fmt: skip
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Random seed of the bootstrap behind the 95 % intervals.",
)
@set_option
@overwrite_option
@device_option
@quiet_option
@json_option
def command(
    model: str,
    data: Path,
    split: Split,
    task: Task,
    protocol: Protocol,
    feature: FeatureName,
    subset_text: str | None,
    prior: str | None,
    exclude_duplicates: bool,
    out: Path | None,
    seed: int,
    assignments: tuple[str, ...],
    overwrite: bool,
    device: Device,
    as_json: bool,
) -> None:
    """Evaluate classification and retrieval of a trained RUN, or retrieval of a model without training.

    For a run that predicts the area or the volume, the results are R² and the errors in place of accuracy.

    Models that need no training are @imagenet (a network trained on photographs) and the engineered descriptors @sph
    (spherical harmonics), @lfd (light field) and @fisher (Fisher vectors). Retrieval results of different protocols
    cannot be compared with each other.

    \b
    Examples:
      shapecnn eval my-run --data views/ --out report/
      shapecnn eval @imagenet --data views/ --protocol train-gallery --json
    """
    from shapecnn.storage.table_reader import start_reader

    start_reader()  # early: it loads pyarrow while this process loads its own modules
    from shapecnn import EvaluationSettings, evaluate, open_artefacts, open_model
    from shapecnn.artefacts.subset import Subset
    from shapecnn.cli.evaluation_text import lines
    from shapecnn.evaluation.priors import ClassPrior
    from shapecnn.settings.base import parse_assignments
    from shapecnn.storage.own import require_report

    if out is not None:
        require_report("evaluation.json", out, overwrite)
    settings = EvaluationSettings(
        split=split,
        task=task,
        protocol=protocol,
        feature=feature,
        seed=seed,
        subset=None if subset_text is None else Subset.parse(subset_text),
        class_prior=None if prior is None else ClassPrior.read(prior),
        exclude_duplicates=exclude_duplicates,
    )
    predictor = open_model(model, parse_assignments(assignments), device=device)
    artefacts = open_artefacts(data)
    with progress_bar("Evaluating") as progress:
        evaluation = evaluate(predictor, artefacts, settings, device=device, progress=progress)
    # before the report: a full disk must not lose the result
    emit(evaluation.to_json(), as_json, wrapped(lines(evaluation)))
    if out is not None:
        from shapecnn.report.evaluation import write_report

        with stage("Writing the report"):
            write_report(out, evaluation, lambda entry: predictor.model.input.read(artefacts, entry), overwrite)
        note(f"Wrote {out / 'report.html'}")
    suggest_for_evaluation(model, out)
