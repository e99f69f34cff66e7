"""The last line of a command: the command to run next, with the real paths. Only people at a terminal see it."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shapecnn.cli.console import is_quiet, note
from shapecnn.cli.free_paths import free_artefacts, free_file, free_index, free_report, free_run, may_be_written
from shapecnn.errors import ShapecnnError
from shapecnn.storage.objects.url import as_path

if TYPE_CHECKING:
    from shapecnn.evaluation.compare_results import Comparison
    from shapecnn.information import Description

GRIDS, VIEWS = "shapenets-modelnet10", "mvcnn-psb"
"""Configs that are suggested for voxel grids and for views; docs/training.md says why these."""

_FOLDS = 5  # of both configs
NO_FOLDS = ("--set", "validation.folds=0", "--set", "validation.select=last")
"""Options for so few shapes that none can be held out."""

_OTHERS = "PART...", "OUT"  # placeholders for the other parts and the merged folder


def suggest(*words: object) -> None:
    """Print the command to run next on stderr, as ``Next: shapecnn …``; see :func:`is_wanted`.

    Args:
        words: Command, arguments and options, without ``shapecnn``; they are quoted for a shell.
    """
    if is_wanted():
        note(f"Next: {shlex.join(['shapecnn', *map(str, words)])}")


def suggest_again(*options: object) -> None:
    """Suggest the same command with further options, such as ``--html why.html``.

    Args:
        options: Names and values of the options.
    """
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    suggest(*words[:end], *options, *words[end:])


def is_wanted() -> bool:
    """Return whether a suggestion is printed: stderr is a terminal, and neither --json nor --quiet was given."""
    context = click.get_current_context(silent=True)
    as_json = context is not None and bool(context.params.get("as_json"))
    return sys.stderr is not None and sys.stderr.isatty() and not as_json and not is_quiet()


def suggest_for_artefacts(out: Path, collection: Path | None = None) -> None:
    """Suggest what to do with artefacts: train if there are classes and a train split, otherwise search.

    Args:
        out: Folder of the artefacts.
        collection: Collection of meshes that they were made of; None for imported artefacts.
    """
    if not is_wanted():
        return
    if _is_part(out):
        suggest("merge", out, *_OTHERS)
        return
    from shapecnn import open_artefacts

    artefacts = open_artefacts(out)
    train = Counter(entry.label for entry in artefacts.entries if entry.split == "train" and entry.label is not None)
    if len(train) > 1:
        config = GRIDS if artefacts.settings["kind"] == "voxels" else VIEWS
        held_out = any(entry.split == "val" for entry in artefacts.entries)
        folds = () if held_out or (max(train.values()) >= _FOLDS and min(train.values()) > 1) else NO_FOLDS
        suggest("train", config, "--data", out, "--out", free_run(out), *folds)
    elif collection is not None:
        suggest("index", collection, free_index(out), *_up(artefacts.settings.get("up")))
    else:
        suggest("audit", out, "--out", free_report(out, "audit"))


def suggest_for_run(run: Path) -> None:
    """Suggest what to do with a run: evaluate it on the test split of its data, or on the held-out shapes.

    Args:
        run: Folder of the run.
    """
    if not is_wanted():
        return
    from shapecnn import open_artefacts
    from shapecnn.models.run import SPLIT, describe_run

    sealed, described = describe_run(run)
    data = as_path(str((described.get("data") or {}).get("folder")))
    try:
        entries = open_artefacts(data).entries
    except (ShapecnnError, OSError):  # the data have moved
        return
    if any(entry.split == "test" for entry in entries):
        suggest("eval", run, "--data", data, "--out", free_report(run, "report"))
    elif sealed.json(SPLIT).get("val"):
        suggest("eval", run, "--data", data, "--split", "val", "--out", free_report(run, "report"))
    else:
        suggest("filters", run, "--html", free_file("filters.html"))


def suggest_for_evaluation(model: str, report: Path | None) -> None:
    """Suggest what to do after an evaluation: write the report; of a run with a report, write its card.

    Args:
        model: Run, or name of a model that needs no training.
        report: Folder of the report; None if none was written.
    """
    if not is_wanted():
        return
    if report is None:
        suggest_report(Path(model.removeprefix("@")), "report")
    elif not model.startswith("@"):
        suggest_card(model, report)


def suggest_for_comparison(comparison: Comparison, *options: str) -> None:
    """Suggest to evaluate the best run of a comparison with a report: on the test split, if its data have one.

    Args:
        comparison: Results of all models.
        options: Further options of the evaluation, such as ``--protocol shapenets``.
    """
    runs = [one for one in comparison.measured if not one.contender.model.name.startswith("@")]
    if not runs or not is_wanted():
        return
    from shapecnn import open_artefacts

    names = comparison.measured[0].evaluation.headline_names
    best = max(runs, key=lambda one: [one.figures[name].value or 0.0 for name in names]).contender
    data = best.artefacts.folder
    splits = {entry.split for entry in open_artefacts(data).entries}
    chosen = () if "test" in splits else ("--split", comparison.split)
    feature = () if best.feature == "penultimate" else ("--feature", best.feature)
    run = best.model.name
    suggest("eval", run, "--data", data, *chosen, *feature, *options, "--out", free_report(Path(run), "report"))


def suggest_card(run: str, report: Path) -> None:
    """Suggest to write the card of a run, unless a file that someone else wrote is in its place.

    Args:
        run: Folder of the run.
        report: Folder of a report of this run.
    """
    if is_wanted() and may_be_written(Path(run) / "README.md"):
        suggest("card", run, "--report", report)


def suggest_for_metric(run: Path, data: Path, split: str) -> None:
    """Suggest to compare the learned metric with the features of a run.

    Args:
        run: Folder of the run.
        data: Artefacts that it was trained on.
        split: Split to compare on: ``test``, or ``val`` for the held-out shapes.
    """
    if is_wanted():
        splits = () if split == "test" else ("--split", split)
        suggest("compare", run, f"{run}:metric", "--data", data, *splits, "--out", free_report(run, "comparison"))


def suggest_for_predictions(run: str, doubtful: Iterable[str], classified: Iterable[str], up: str | None) -> None:
    """Suggest to explain one prediction: the first doubtful one or, if there is none, the first.

    Args:
        run: The run.
        doubtful: Meshes that are unknown, or that could be of another class.
        classified: Meshes for which a class was predicted.
        up: Value of --up; None if the option was not given.
    """
    mesh = next(iter([*doubtful, *classified]), None)
    if mesh is not None and is_wanted():
        suggest("explain", run, mesh, *(() if up is None else ("--up", up)), "--html", free_file("why.html"))


def suggest_for_index(index: Path) -> None:
    """Suggest a query with the mesh of an index's first shape or, if that is inside a zip, to search in the browser.

    Args:
        index: Folder of the index.
    """
    if not is_wanted():
        return
    from shapecnn.search.index import read_shapes

    if _is_part(index):
        suggest("merge", index, *_OTHERS)
        return
    shapes = read_shapes(index)[2]
    if not shapes:
        return
    first = shapes[0].source
    if first.member is None and first.file.is_file():
        suggest("query", index, first.file, "--html", free_file("answer.html"))
    else:
        suggest_browser(index)


def suggest_browser(index: Path, *options: object) -> None:
    """Suggest to search an index in the browser, if the packages of the web application are installed.

    Args:
        index: Folder of the index.
        options: Further words of the command.
    """
    if find_spec("starlette") and find_spec("uvicorn"):
        suggest("serve", index, *options)


def suggest_for(described: Description) -> None:
    """Suggest what to do with a path that was described.

    Args:
        described: What the path is, except a mesh.
    """
    path = as_path(described.path)
    if described.kind == "collection":
        suggest("render", path, free_artefacts(path, "views"))
    elif described.kind == "artefacts":
        suggest_for_artefacts(path)
    elif described.kind == "run":
        suggest_for_run(path)
    elif described.kind == "training":
        suggest("train", "--resume", path)
    elif described.kind == "index":
        suggest_for_index(path)
    elif described.kind == "report" and not str(described.facts["model"]).startswith("@"):
        suggest_card(described.facts["model"], path)


def suggest_page(name: str) -> None:
    """Suggest the same command with ``--html``.

    Args:
        name: Name of the page; a numbered one is suggested if someone else wrote that file.
    """
    if is_wanted():
        suggest_again("--html", free_file(name))


def suggest_report(path: Path, name: str) -> None:
    """Suggest the same command with ``--out``.

    Args:
        path: Path beside which the report is suggested.
        name: ``report``, ``audit`` or ``comparison``.
    """
    if is_wanted():
        suggest_again("--out", free_report(path, name))


def _is_part(folder: Path) -> bool:
    """Return whether a folder that shapecnn wrote holds a shard of a collection."""
    from shapecnn.meshes.shards import read_part

    return read_part(folder, "") is not None


def _up(up: object) -> tuple[str, ...]:
    return () if up in (None, "z") else ("--up", str(up))
