"""Kinds of outputs: artefacts, runs, indexes and reports, each recognized by one of its files.

Every command that needs one kind of folder and gets another says which kind it got and what can be done with it.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Literal

from shapecnn.errors import UsageError
from shapecnn.storage.checksums import SUMS
from shapecnn.storage.publishing import published
from shapecnn.storage.reading import read_stored
from shapecnn.storage.unfinished import RESUME

Published = Literal["artefacts", "run", "index", "report", "audit", "comparison"]
"""Kind of a finished output."""

Kind = Published | Literal["training"]
"""Kind of an output; "training" is unfinished and becomes a run."""

KIND_FILES: dict[str, Published] = {
    "settings.json": "artefacts",
    "model.json": "run",
    "index.json": "index",
    "evaluation.json": "report",
    "audit.json": "audit",
    "comparison.json": "comparison",
}
"""Name of the file that identifies each kind of output."""

_EVIDENCE: dict[str, Kind] = {**KIND_FILES, "manifest.parquet": "artefacts"}
"""The same, with the manifest, which identifies artefacts whose settings are missing."""

_NAMES: dict[Kind, str] = {
    "artefacts": "a folder of artefacts",
    "run": "a run",
    "training": "an unfinished training",
    "index": "an index",
    "report": "a report of eval",
    "audit": "a report of audit",
    "comparison": "a report of compare",
}

_USES: dict[Kind, str] = {
    "artefacts": "To train on it: shapecnn train CONFIG --data {} --out RUN. To measure a model on it: "
    "shapecnn eval RUN --data {}",
    "run": "To classify a mesh with it: shapecnn predict {} MESH. To search with it, make an index first: "
    "shapecnn index COLLECTION INDEX --model {}",
    "training": "To go on with it: shapecnn train --resume {}",
    "index": "To search it: shapecnn query {} MESH",
    "report": "To look at it: open {}/report.html",
    "audit": "To look at it: open {}/audit.html",
    "comparison": "To look at it: open {}/report.html",
}


def is_kind_file(path: Path) -> bool:
    """Tell whether a file of :data:`KIND_FILES` exists, damaged or not.

    Args:
        path: The path of such a file.

    Returns:
        True unless the path is missing or is a folder, which may be a class that somebody gave this name.
    """
    return path.exists() and not path.is_dir()


def kind_of(folder: Path) -> Kind | None:
    """Recognize what shapecnn made in a folder.

    Args:
        folder: Any path.

    Returns:
        The kind, also where some of its files are missing or damaged. None for a folder that shapecnn did not make, a
        file, and a path that does not exist.
    """
    for name, kind in _EVIDENCE.items():
        if is_kind_file(published(folder, name)):
            return kind
    if (folder / RESUME).is_dir():
        return "training"
    try:
        sums = read_stored(published(folder, SUMS))
    except OSError:
        return None
    for name, kind in _EVIDENCE.items():  # the file is missing, but its hash is listed
        if f"  {name}\n".encode() in sums:
            return kind
    return None


def require_kind(folder: Path, wanted: Kind, making: str) -> None:
    """Require that a folder holds an output of one kind, damaged or not.

    Args:
        folder: The path that the user passed.
        wanted: The kind that is needed.
        making: A sentence that says how to make one, for the message.

    Raises:
        UsageError: The folder holds another kind or nothing that shapecnn made, is a file, or does not exist.
    """
    kind = kind_of(folder)
    if kind == wanted:
        return
    if kind is not None:
        raise UsageError(_explanation(folder, kind, _NAMES[wanted]))
    if folder.is_dir():
        problem = f"{folder} is not {_NAMES[wanted]}: shapecnn made nothing in it."
    elif folder.exists():
        problem = f"{folder} is a file, not {_NAMES[wanted]}."
    else:
        problem = f"There is no {_NAMES[wanted].split(maxsplit=1)[1]} at {folder}."
    raise UsageError(f"{problem} {making}")


def explain_kind(folder: Path, wanted: str) -> str | None:
    """Explain what a folder is that shapecnn made, where something else is needed.

    Args:
        folder: The path that the user passed.
        wanted: What is needed, such as "a collection of meshes".

    Returns:
        Sentences that say what the folder is and what can be done with it; None if shapecnn did not make it.
    """
    kind = kind_of(folder)
    return None if kind is None else _explanation(folder, kind, wanted)


def _explanation(folder: Path, kind: Kind, wanted: str) -> str:
    return f"{folder} is {_NAMES[kind]}, not {wanted}. {_USES[kind].replace('{}', shlex.quote(str(folder)))}"
