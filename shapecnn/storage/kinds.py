"""What kind of thing a path is: artefacts, a run, an index, a report, or nothing that shapecnn made.

Every command that is given one kind where it needs another says which it was given and what can be done with it.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Literal

from shapecnn.errors import UsageError
from shapecnn.storage.checksums import SUMS
from shapecnn.storage.publishing import HOLDS, RESUME, is_told, published
from shapecnn.storage.publishing import Kind as Published
from shapecnn.storage.reading import read_stored

Kind = Published | Literal["training"]

_TELLS: dict[str, Kind] = {**HOLDS, "manifest.parquet": "artefacts"}
"""The file that tells what a folder holds; that of artefacts whose settings are gone as well."""

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
    "run": "To classify a mesh by it: shapecnn predict {} MESH. To search by it, make an index first: "
    "shapecnn index COLLECTION INDEX --model {}",
    "training": "To go on with it: shapecnn train --resume {}",
    "index": "To search it: shapecnn query {} MESH",
    "report": "To look at it: open {}/report.html",
    "audit": "To look at it: open {}/audit.html",
    "comparison": "To look at it: open {}/report.html",
}


def kind_of(folder: Path) -> Kind | None:
    """What shapecnn made in ``folder``.

    Args:
        folder: Any path.

    Returns:
        The kind, also where single files of it are missing or damaged; None for what shapecnn did not make, what is not
        a folder, and what is not there.
    """
    for name, kind in _TELLS.items():
        if is_told(published(folder, name)):
            return kind
    if (folder / RESUME).is_dir():
        return "training"
    try:
        sums = read_stored(published(folder, SUMS))
    except OSError:
        return None
    for name, kind in _TELLS.items():  # the file that tells is gone, and its hash is not
        if f"  {name}\n".encode() in sums:
            return kind
    return None


def require_kind(folder: Path, wanted: Kind, making: str) -> None:
    """Raise UsageError unless ``folder`` holds what is ``wanted``, be it damaged.

    Args:
        folder: What a person gave.
        wanted: The kind that is needed there.
        making: What makes one, for the message: a sentence.
    """
    kind = kind_of(folder)
    if kind == wanted:
        return
    if kind is not None:
        raise UsageError(_told(folder, kind, _NAMES[wanted]))
    if folder.is_dir():
        found = f"{folder} is not {_NAMES[wanted]}: it holds nothing that shapecnn made."
    elif folder.exists():
        found = f"{folder} is a file, not {_NAMES[wanted]}."
    else:
        found = f"There is no {_NAMES[wanted].split(maxsplit=1)[1]} at {folder}."
    raise UsageError(f"{found} {making}")


def taken_for(folder: Path, wanted: str) -> str | None:
    """What to tell who gave a folder that shapecnn made where nothing that it makes can stand.

    Args:
        folder: What a person gave.
        wanted: What is needed there, such as "a collection of meshes".

    Returns:
        What it is instead and what can be done with it; None for what shapecnn did not make.
    """
    kind = kind_of(folder)
    return None if kind is None else _told(folder, kind, wanted)


def _told(folder: Path, kind: Kind, wanted: str) -> str:
    return f"{folder} is {_NAMES[kind]}, not {wanted}. {_USES[kind].replace('{}', shlex.quote(str(folder)))}"
