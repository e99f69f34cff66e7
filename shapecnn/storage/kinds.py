"""Recognize what an output folder holds: artefacts (views or voxel grids), a trained model, an index or a report.

If a command needs one kind of folder and the user passes another, the error names the kind that was passed and the
commands that accept it.
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

Published = Literal["artefacts", "run", "index", "report", "audit", "comparison", "ladder"]
"""Kind of a finished output folder; "artefacts" are rendered views or voxel grids."""

Kind = Published | Literal["training"]
"""Kind of an output folder, finished or not; "training" is an unfinished run."""

KIND_FILES: dict[str, Published] = {
    "settings.json": "artefacts",
    "model.json": "run",
    "index.json": "index",
    "evaluation.json": "report",
    "audit.json": "audit",
    "comparison.json": "comparison",
    "ladder.json": "ladder",
}
"""Name of the file that identifies a kind of output folder, mapped to that kind."""

_EVIDENCE: dict[str, Kind] = {**KIND_FILES, "manifest.parquet": "artefacts"}
"""Names of all files that reveal the kind of a folder: :data:`KIND_FILES`, and the manifest of artefacts.

The manifest identifies a folder of artefacts whose ``settings.json`` is missing."""

_NAMES: dict[Kind, str] = {
    "artefacts": "a folder of artefacts",
    "run": "a run",
    "training": "an unfinished training",
    "index": "an index",
    "report": "a report of eval",
    "audit": "a report of audit",
    "comparison": "a report of compare",
    "ladder": "a report of ladder",
}

_USES: dict[Kind, str] = {
    "artefacts": "To train on it: shapecnn train CONFIG --data {} --out RUN. To evaluate a model on it: "
    "shapecnn eval RUN --data {}",
    "run": "To classify a mesh with it: shapecnn predict {} MESH. To search with it, create an index first: "
    "shapecnn index COLLECTION INDEX --model {}",
    "training": "To continue it: shapecnn train --resume {}",
    "index": "To search it: shapecnn query {} MESH",
    "report": "To look at it: open {}/report.html",
    "audit": "To look at it: open {}/audit.html",
    "comparison": "To look at it: open {}/report.html",
    "ladder": "To look at it: open {}/report.html",
}


def is_kind_file(path: Path) -> bool:
    """Tell whether a path such as ``index.json`` exists and is not a folder; the file may be damaged.

    Args:
        path: A path whose name is one of :data:`KIND_FILES`.

    Returns:
        True if the path exists and is not a folder. A folder of this name may be a class of a collection.
    """
    return path.exists() and not path.is_dir()


def kind_of(folder: Path) -> Kind | None:
    """Return the kind of output that a folder holds, such as "run" (a trained model) or "index".

    Args:
        folder: Any path.

    Returns:
        The kind, even if some files are missing or damaged. None if shapecnn did not write the folder, or if the path
        is a file or does not exist.
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
    """Raise UsageError unless a folder holds the required kind of output; the output may be damaged.

    Args:
        folder: The path that the user passed.
        wanted: The required kind.
        making: Sentence that ends the error message and says how to create an output of this kind.

    Raises:
        UsageError: The folder holds another kind of output, or nothing that shapecnn wrote; or the path is a file or
            does not exist.
    """
    kind = kind_of(folder)
    if kind == wanted:
        return
    if kind is not None:
        raise UsageError(_explanation(folder, kind, _NAMES[wanted]))
    if folder.is_dir():
        problem = f"{folder} is not {_NAMES[wanted]}: shapecnn wrote no files into this folder."
    elif folder.exists():
        problem = f"{folder} is a file, not {_NAMES[wanted]}."
    else:
        problem = f"There is no {_NAMES[wanted].split(maxsplit=1)[1]} at {folder}."
    raise UsageError(f"{problem} {making}")


def explain_kind(folder: Path, wanted: str) -> str | None:
    """Return an error message for an output folder that the user passed in place of something else.

    Args:
        folder: The path that the user passed.
        wanted: Noun phrase for the expected input, such as "a collection of meshes".

    Returns:
        Sentences that name the kind of the folder and the commands that accept it; None if shapecnn did not write the
        folder.
    """
    kind = kind_of(folder)
    return None if kind is None else _explanation(folder, kind, wanted)


def _explanation(folder: Path, kind: Kind, wanted: str) -> str:
    return f"{folder} is {_NAMES[kind]}, not {wanted}. {_USES[kind].replace('{}', shlex.quote(str(folder)))}"
