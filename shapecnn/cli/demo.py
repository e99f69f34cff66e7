"""``shapecnn demo``: run the whole pipeline, from meshes to search results, on generated shapes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shapecnn.cli.console import SCHEMA_VERSION, emit, note
from shapecnn.cli.next_steps import suggest_browser
from shapecnn.cli.options import (
    LocalPath,
    command_line,
    device_option,
    json_option,
    overwrite_option,
    quiet_option,
    workers_option,
)
from shapecnn.cli.progress import progress_bar
from shapecnn.cli.tables import is_drawn, table
from shapecnn.errors import counted
from shapecnn.workers.progress import stage

if TYPE_CHECKING:
    from shapecnn.evaluation.results import Evaluation
    from shapecnn.models.device import Device


@dataclass
class _Steps:
    """Log of the finished steps of the demo, with name, duration, result and path of each.

    Attributes:
        rows: Name, duration in seconds, result and path of each finished step.
        start: Start of the current step, in seconds of the monotonic clock.
    """

    rows: list[tuple[str, float, str, Path]] = field(default_factory=list)
    start: float = field(default_factory=time.monotonic)

    def finish(self, step: str, result: str, path: Path) -> None:
        """Add a row for the step that has just ended, and print a note about it."""
        seconds, self.start = time.monotonic() - self.start, time.monotonic()
        self.rows.append((step, seconds, result, path))
        note(f"{step}: {result} ({seconds:.1f} s)")

    def lines(self) -> list[str]:
        """Return the table of all steps."""
        if is_drawn():
            rows = [[step, f"{seconds:.1f} s", result, str(path)] for step, seconds, result, path in self.rows]
            return table(rows, ["step", "time", "result", "written to"], [1])
        return [f"{step:16} {seconds:6.1f} s  {result:52} {path}" for step, seconds, result, path in self.rows]


@click.command("demo")
@click.argument("out", type=LocalPath(path_type=Path, file_okay=False), default=Path("demo"))
@click.option(
    "--per-class",
    type=click.IntRange(4),
    default=40,
    show_default=True,
    help="Number of shapes to generate for each class.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Random seed of the generated shapes."
)
@overwrite_option
@device_option
@workers_option
@quiet_option
@json_option
def command(
    out: Path, per_class: int, seed: int, overwrite: bool, device: Device, workers: int | None, as_json: bool
) -> None:
    """Run the whole pipeline on generated shapes: render, voxelize, train, evaluate, index and query.

    All results are written to the folder OUT. Nothing is downloaded. The accuracies at the end are a smoke test on easy
    shapes; they do not measure the quality of the method.

    \b
    Example:
      shapecnn demo my-demo
    """
    from shapecnn import ViewSettings, VoxelSettings, open_index, prepare, update_index
    from shapecnn.report.pages import query_page
    from shapecnn.sources.shapes import write_collection
    from shapecnn.storage.files import require_file, write_page
    from shapecnn.workers.pool import Workers

    start, pool = time.monotonic(), Workers(workers)
    meshes, views, grids, index, page = (out / name for name in ("meshes", "views", "grids", "index", "answer.html"))
    steps = _Steps()
    require_file(page, overwrite)

    with progress_bar("Generating") as progress:
        count = write_collection(meshes, per_class=per_class, seed=seed, overwrite=overwrite, progress=progress)
    steps.finish("generate", counted(count, "mesh", "meshes"), meshes)

    for what, target, settings in (("render", views, ViewSettings()), ("voxelize", grids, VoxelSettings())):
        with progress_bar(what.capitalize()) as progress:
            summary = prepare(
                meshes, target, settings, command=command_line(), overwrite=overwrite, workers=pool, progress=progress
            )
        steps.finish(what, f"{summary.written} written, {summary.skipped} unchanged, {summary.failed} failed", target)

    evaluations = {}
    folds = 5 if per_class >= 8 else 2  # folds of the train split, which has at least half of each class
    for config, data in (("demo-mvcnn", views), ("demo-shapenets", grids)):
        name = config.removeprefix("demo-")
        run, report = out / f"{name}-run", out / f"{name}-report"
        evaluations[name] = _train_and_evaluate(config, folds, data, run, report, overwrite, device, steps)

    with progress_bar("Indexing") as progress:
        changes = update_index(
            meshes,
            index,
            str(out / "mvcnn-run"),
            command=command_line(),
            overwrite=overwrite,
            device=device,
            workers=pool,
            progress=progress,
        )
    searcher = open_index(index, device=device, workers=pool)
    shape_index = searcher.index
    steps.finish("index", f"{counted(changes.total, 'shape')}, {shape_index.features.shape[1]} numbers each", index)

    mug = next(item for item in shape_index.shapes if item.label == "mug" and item.split == "test")
    answers = searcher.query(mug.path, 12)
    with stage("Writing the page"):
        write_page(page, query_page(answers, shape_index, str(index), page, pool), overwrite)
    mugs = sum(hit.shape.label == "mug" for hit in answers[0].hits)
    steps.finish("query", f"{mugs} of {len(answers[0].hits)} answers to a mug are mugs", page)

    seconds = time.monotonic() - start
    networks = {name: _figures(evaluation) for name, evaluation in evaluations.items()}
    answer = {
        "schema_version": SCHEMA_VERSION,
        "out": str(out),
        "classes": len({item.label for item in shape_index.shapes}),
        "shapes": count,
        "failed": len(changes.failures),
        "networks": networks,
        "query": {"path": mug.path, "label": "mug", "results": len(answers[0].hits), "same_label": mugs},
        "paths": {
            "meshes": str(meshes),
            "views": str(views),
            "grids": str(grids),
            **{f"{name}_run": str(out / f"{name}-run") for name in evaluations},
            **{f"{name}_report": str(out / f"{name}-report" / "report.html") for name in evaluations},
            "index": str(index),
            "page": str(page),
        },
        "seconds": round(seconds, 3),
    }
    text = [
        *steps.lines(),
        "",
        "Smoke test on the test split of the generated shapes, protocol mvcnn with the penultimate feature:",
        *(
            f"  {name:10} {_summary(figures)} of {counted(figures['count'], 'shape')}"
            for name, figures in networks.items()
        ),
        f"Finished in {seconds:.0f} s. Open {page} and {out / 'mvcnn-report' / 'report.html'}, or try",
        f"  shapecnn predict {out / 'mvcnn-run'} {mug.path}",
        f"  shapecnn query {index} {mug.path}",
    ]
    emit(answer, as_json, text)
    suggest_browser(index, "--model", out / "mvcnn-run")


def _train_and_evaluate(
    config: str, folds: int, data: Path, run: Path, report: Path, overwrite: bool, device: Device, steps: _Steps
) -> Evaluation:
    """Train a network unless its run is finished, evaluate it on the test split, and write the report."""
    from shapecnn import evaluate, open_artefacts, open_model, train
    from shapecnn.report.evaluation import write_report

    name = config.removeprefix("demo-")
    training = train(
        config,
        data,
        run,
        settings={"validation.folds": folds},
        device=device,
        resume=True,
        overwrite=overwrite,
        bar=progress_bar,
        say=note,
    )
    steps.finish(f"train {name}", counted(training.epochs, "epoch"), run)
    predictor, artefacts = open_model(str(run), device=device), open_artefacts(data)
    with progress_bar("Evaluating") as progress:
        evaluation = evaluate(predictor, artefacts, device=device, progress=progress)
    with stage("Writing the report"):
        write_report(report, evaluation, lambda entry: predictor.model.input.read(artefacts, entry), overwrite)
    figures = _figures(evaluation)
    steps.finish(f"eval {name}", _summary(figures), report / "report.html")
    return evaluation


def _figures(evaluation: Evaluation) -> dict[str, Any]:
    classification, retrieval = evaluation.classification, evaluation.retrieval
    return {
        "count": len(evaluation.entries),
        "accuracy": classification.accuracy if classification else None,
        "mAP": retrieval.mAP if retrieval else None,
        "NN": retrieval.NN if retrieval else None,
    }


def _summary(figures: dict[str, Any]) -> str:
    """Format the accuracy and the mAP of an evaluation as text; mAP is undefined if each class has one shape."""
    return ", ".join(
        f"{name} {'undefined' if figures[name] is None else format(figures[name], '.1%')}"
        for name in ("accuracy", "mAP")
    )
