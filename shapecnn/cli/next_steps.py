"""The last line of a command: the command to run next, with the real paths. Only people at a terminal see it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shapecnn.cli.console import is_quiet, note
from shapecnn.errors import ShapecnnError

if TYPE_CHECKING:
    from shapecnn.information import Description

GRIDS, VIEWS = "shapenets-modelnet10", "mvcnn-psb"
"""Configs that are suggested for voxel grids and for views; docs/training.md says why these."""


_OTHERS = "PART...", "OUT"  # placeholders for the other parts and the merged folder


def suggest(*words: object) -> None:
    """Print the command to run next on stderr, as ``Next: shapecnn …``; see :func:`is_wanted`.

    Args:
        words: Command, arguments and options, without ``shapecnn``; they are quoted for a shell.
    """
    if is_wanted():
        note(f"Next: {shlex.join(['shapecnn', *map(str, words)])}")


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
    from shapecnn import open_artefacts

    artefacts = open_artefacts(out)
    if _is_part(out):
        suggest("merge", out, *_OTHERS)
        return
    train = [entry for entry in artefacts.entries if entry.split == "train" and entry.label is not None]
    if len({entry.label for entry in train}) > 1:
        config = GRIDS if artefacts.settings["kind"] == "voxels" else VIEWS
        suggest("train", config, "--data", out, "--out", beside(out, "run"))
    elif collection is not None:
        suggest("index", collection, beside(out, "index"), *_up(artefacts.settings.get("up")))
    else:
        suggest("audit", out, "--out", beside(out, "audit"))


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
    data = Path(str((described.get("data") or {}).get("folder")))
    try:
        entries = open_artefacts(data).entries
    except (ShapecnnError, OSError):  # the data have moved
        suggest("predict", run, "MESH")
        return
    if any(entry.split == "test" for entry in entries):
        suggest("eval", run, "--data", data, "--out", beside(run, "report"))
    elif sealed.json(SPLIT).get("val"):
        suggest("eval", run, "--data", data, "--split", "val", "--out", beside(run, "report"))
    else:
        suggest("predict", run, "MESH")


def suggest_for_evaluation(model: str, data: Path, split: str, report: Path | None) -> None:
    """Suggest what to do after an evaluation: write the report; of a run with a report, write its card.

    Args:
        model: Run, or name of a model that needs no training.
        data: Folder of the artefacts.
        split: Split that was evaluated.
        report: Folder of the report; None if none was written.
    """
    splits = () if split == "test" else ("--split", split)
    if model.startswith("@"):
        if report is None:
            suggest("eval", model, "--data", data, *splits, "--out", f"{model[1:]}-report")
    elif report is None:
        suggest("eval", model, "--data", data, *splits, "--out", beside(Path(model), "report"))
    else:
        suggest("card", model, "--report", report)


def suggest_for_index(index: Path) -> None:
    """Suggest a query with the first shape of an index.

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
    suggest("query", index, first.file if first.member is None else "MESH", "--html", "answer.html")


def suggest_for(described: Description) -> None:
    """Suggest what to do with a path that was described.

    Args:
        described: What the path is, except a mesh.
    """
    path = Path(described.path)
    if described.kind == "collection":
        suggest("render", path, beside(path, "views"))
    elif described.kind == "artefacts":
        suggest_for_artefacts(path)
    elif described.kind == "run":
        suggest_for_run(path)
    elif described.kind == "training":
        suggest("train", "--resume", path)
    elif described.kind == "index":
        suggest_for_index(path)
    elif described.kind == "report" and not str(described.facts["model"]).startswith("@"):
        suggest("card", described.facts["model"], "--report", path)


def beside(path: Path, name: str) -> str:
    """Return the path of a folder beside another one, such as ``views-run`` for ``views`` and ``run``.

    Example:
        >>> beside(Path("shapes.zip"), "views"), beside(Path("."), "views")
        ('shapes-views', 'views')
    """
    stem = path.with_suffix("") if path.suffix.lower() in (".zip", ".csv") else path
    return str(stem.with_name(f"{stem.name}-{name}")) if stem.name else name


def _is_part(folder: Path) -> bool:
    """Return whether a folder that shapecnn wrote holds a shard of a collection."""
    from shapecnn.meshes.shards import read_part

    return read_part(folder, "") is not None


def _up(up: object) -> tuple[str, ...]:
    return () if up in (None, "z") else ("--up", str(up))
