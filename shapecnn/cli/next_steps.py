"""The last line of a command: the command to run next, with the real paths. Only people at a terminal see it."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shapecnn.cli.console import is_quiet, note
from shapecnn.errors import ShapecnnError, UsageError

if TYPE_CHECKING:
    from shapecnn.information import Description

GRIDS, VIEWS = "shapenets-modelnet10", "mvcnn-psb"
"""Configs that are suggested for voxel grids and for views; docs/training.md says why these."""

FOLDS = 5  # of both configs
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
    from shapecnn import open_artefacts

    artefacts = open_artefacts(out)
    if _is_part(out):
        suggest("merge", out, *_OTHERS)
        return
    train = Counter(entry.label for entry in artefacts.entries if entry.split == "train" and entry.label is not None)
    if len(train) > 1:
        config = GRIDS if artefacts.settings["kind"] == "voxels" else VIEWS
        held_out = any(entry.split == "val" for entry in artefacts.entries)
        folds = () if held_out or (max(train.values()) >= FOLDS and min(train.values()) > 1) else NO_FOLDS
        suggest("train", config, "--data", out, "--out", _new(beside(out, "run")), *folds)
    elif collection is not None:
        suggest("index", collection, _free(beside(out, "index"), _require_index), *_up(artefacts.settings.get("up")))
    else:
        suggest("audit", out, "--out", report_beside(out, "audit"))


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
        return
    if any(entry.split == "test" for entry in entries):
        suggest("eval", run, "--data", data, "--out", report_beside(run, "report"))
    elif sealed.json(SPLIT).get("val"):
        suggest("eval", run, "--data", data, "--split", "val", "--out", report_beside(run, "report"))
    else:
        suggest("filters", run, "--html", page("filters.html"))


def suggest_for_evaluation(model: str, report: Path | None) -> None:
    """Suggest what to do after an evaluation: write the report; of a run with a report, write its card.

    Args:
        model: Run, or name of a model that needs no training.
        report: Folder of the report; None if none was written.
    """
    if not is_wanted():
        return
    if report is None:
        suggest_again("--out", report_beside(Path(model.removeprefix("@")), "report"))
    elif not model.startswith("@"):
        suggest_card(model, report)


def suggest_card(run: str, report: Path) -> None:
    """Suggest to write the card of a run, unless a file that someone else wrote is in its place.

    Args:
        run: Folder of the run.
        report: Folder of a report of this run.
    """
    from shapecnn.storage.files import require_file

    try:
        require_file(Path(run) / "README.md")
    except ShapecnnError:
        return
    suggest("card", run, "--report", report)


def suggest_for_predictions(run: str, doubtful: Iterable[str], others: Iterable[str], up: str | None) -> None:
    """Suggest to explain one prediction: the first doubtful one or, if there is none, the first.

    Args:
        run: The run.
        doubtful: Meshes that are unknown, or that could be of another class.
        others: All other meshes for which a class was predicted.
        up: Value of --up; None if the option was not given.
    """
    mesh = next(iter([*doubtful, *others]), None)
    if mesh is not None and is_wanted():
        suggest("explain", run, mesh, *(() if up is None else ("--up", up)), "--html", page("why.html"))


def suggest_for_index(index: Path) -> None:
    """Suggest a query with the first shape of an index; if it is inside a zip, to search in the browser.

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
        suggest("query", index, first.file, "--html", page("answer.html"))
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
        suggest_card(described.facts["model"], path)


def page(name: str) -> str:
    """Return the name of a page in the current folder: ``name``, or a numbered one if that file is someone else's.

    Args:
        name: Name of an HTML file.
    """
    from shapecnn.storage.files import require_file

    return _free(name, require_file)


def report_beside(path: Path, name: str) -> str:
    """Return the path of a folder for a report, as :func:`beside`; a numbered one if that folder holds other files.

    Args:
        path: Path beside which the report stands.
        name: ``report``, ``audit`` or ``comparison``.
    """
    from shapecnn.storage.own import require_report

    kind = {"report": "evaluation.json", "audit": "audit.json", "comparison": "comparison.json"}[name]
    return _free(beside(path, name), lambda folder: require_report(kind, folder))


def _new(path: str) -> str:
    """Return a path that does not exist, because a run is not trained again with other data."""

    def require(path: Path) -> None:
        if path.exists():
            raise UsageError(f"{path} exists.")

    return _free(path, require)


def _require_index(path: Path) -> None:
    from shapecnn.storage.kinds import kind_of

    if path.exists() and kind_of(path) != "index":
        raise UsageError(f"{path} is no index.")


def _free(path: str, require: Callable[[Path], None]) -> str:
    """Return a path, or the first of ``path-2``, ``path-3`` … that a check does not refuse."""
    plain = Path(path)
    for number in range(2, 100):
        try:
            require(Path(path))
        except ShapecnnError:
            path = str(plain.with_name(f"{plain.stem}-{number}{plain.suffix}"))
        else:
            break
    return path


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
