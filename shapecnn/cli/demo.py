"""``shapecnn demo``: everything at work, on shapes made for the purpose."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shapecnn.cli.console import SCHEMA_VERSION, emit, progress_bar, say
from shapecnn.cli.options import command_line, device_option, json_option, workers_option

if TYPE_CHECKING:
    from shapecnn.inference import Device


@click.command("demo")
@click.argument("out", type=click.Path(path_type=Path, file_okay=False), default=Path("demo"))
@click.option(
    "--per-class", type=click.IntRange(4), default=40, show_default=True, help="Shapes generated for each class."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Another seed makes other shapes.")
@device_option
@workers_option
@json_option
def command(out: Path, per_class: int, seed: int, device: Device, workers: int | None, as_json: bool) -> None:
    """Generate a labelled collection of meshes in OUT; draw, fill, index and search it.

    Nothing is downloaded. The figures at the end are a smoke test on generated shapes, not a measure of the method.

    \b
    Example:
      shapecnn demo my-demo
    """
    from shapecnn.config import ViewSettings, VoxelSettings
    from shapecnn.index import open_index, update_index
    from shapecnn.models import ImagenetSettings
    from shapecnn.prepare import Recipe, prepare
    from shapecnn.query import answer_queries
    from shapecnn.report.pages import query_page
    from shapecnn.retrieval.protocols import mvcnn
    from shapecnn.sources.shapes import write_collection
    from shapecnn.storage import write_atomic

    started = time.monotonic()
    meshes, views, grids, index, page = (out / name for name in ("meshes", "views", "grids", "index", "answer.html"))
    steps: list[tuple[str, str, float, Path]] = []

    def note(what: str, result: str, since: float, path: Path) -> None:
        steps.append((what, result, time.monotonic() - since, path))
        say(f"{what}: {result} ({steps[-1][2]:.1f} s)")

    clock = time.monotonic()
    with progress_bar("Generating") as progress:
        count = write_collection(meshes, per_class=per_class, seed=seed, progress=progress)
    note("generate", f"{count} meshes", clock, meshes)

    for what, target, recipe in (
        ("render", views, Recipe(ViewSettings())),
        ("voxelize", grids, Recipe(VoxelSettings())),
    ):
        clock = time.monotonic()
        with progress_bar(what.capitalize()) as progress:
            done = prepare(meshes, target, recipe, command=command_line(), workers=workers, progress=progress)
        note(what, f"{done.written} written, {done.skipped} unchanged, {done.failed} failed", clock, target)

    clock = time.monotonic()
    with progress_bar("Index") as progress:
        changes = update_index(
            meshes, index, ImagenetSettings(), command=command_line(), device=device, workers=workers, progress=progress
        )  # fmt: skip
    opened = open_index(index)
    note("index", f"{changes.total} shapes, {opened.features.shape[1]} numbers each", clock, index)

    clock = time.monotonic()
    mug = next(item for item in opened.items if item.label == "mug" and item.split == "test")
    answers = answer_queries(opened, opened.origin.open(index), [mug.path], 12, up="z", device=device)
    write_atomic(page, query_page(answers, opened, str(index)).encode())
    mugs = sum(hit.item.label == "mug" for hit in answers[0].hits)
    note("query", f"{mugs} of {len(answers[0].hits)} answers to a mug are mugs", clock, page)

    figures = mvcnn(opened.features, [item.label or "" for item in opened.items])
    seconds = time.monotonic() - started
    answer = {
        "schema_version": SCHEMA_VERSION,
        "out": str(out),
        "classes": len({item.label for item in opened.items}),
        "shapes": count,
        "failed": len(changes.failures),
        "retrieval": {"protocol": figures.protocol, "queries": figures.queries, "mAP": figures.mAP, "NN": figures.NN},
        "query": {"path": mug.path, "label": "mug", "results": len(answers[0].hits), "same_label": mugs},
        "paths": {
            "meshes": str(meshes),
            "views": str(views),
            "grids": str(grids),
            "index": str(index),
            "page": str(page),
        },
        "seconds": round(seconds, 3),
    }
    rows = [f"{what:10} {took:6.1f} s  {result:45} {path}" for what, result, took, path in steps]
    text = [
        *rows,
        "",
        f"Smoke test on generated shapes, untrained features, protocol {figures.protocol}: "
        f"mAP {figures.mAP:.1%}, nearest neighbour {figures.NN:.1%} of {figures.queries} queries.",
        f"All in {seconds:.0f} s. Open {page}, look into {views}, or search: shapecnn query {index} {mug.path}",
    ]
    emit(answer, as_json, "\n".join(text))
