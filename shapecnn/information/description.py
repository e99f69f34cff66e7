"""Find out what a path is, and describe it."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from shapecnn.errors import CollectionError, UsageError
from shapecnn.information.meshes import collection_facts, mesh_facts
from shapecnn.information.outputs import artefact_facts, report_facts
from shapecnn.information.trained import index_facts, run_facts, training_facts
from shapecnn.meshes.collection import Say, silent
from shapecnn.meshes.labels import Labels
from shapecnn.meshes.readers import FORMATS, find_format
from shapecnn.shared.results import Displayed, text_table
from shapecnn.storage.kinds import Kind, kind_of
from shapecnn.storage.objects.store import list_objects
from shapecnn.storage.objects.url import Url, as_path

_STORED: dict[Kind, Callable[[Path], dict[str, Any]]] = {
    "artefacts": artefact_facts,
    "run": run_facts,
    "training": training_facts,
    "index": index_facts,
    "report": report_facts,
    "audit": report_facts,
    "comparison": report_facts,
    "ladder": report_facts,
}


@dataclass(frozen=True, slots=True, repr=False)
class Description(Displayed):
    """What a path is, and what is in it.

    Attributes:
        path: The path, as it was given.
        kind: ``mesh``, ``collection``, or the kind of an output folder: ``artefacts``, ``run``, ``training`` (an
            unfinished run), ``index``, ``report``, ``audit``, ``comparison`` or ``ladder``.
        facts: What is known about it, by name, as JSON values; the names depend on the kind.
    """

    path: str
    kind: Literal["mesh", "collection"] | Kind
    facts: dict[str, Any]

    def rows(self) -> list[dict[str, Any]]:
        """Return one row for each fact that is a number or a text."""
        plain = {name: value for name, value in self.facts.items() if isinstance(value, str | int | float)}
        return [{"fact": name, "value": value} for name, value in plain.items()]

    def __repr__(self) -> str:
        """Return the path, the kind and the facts as a text table."""
        return f"{self.path}: {self.kind}\n{text_table(self.rows())}"

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that ``shapecnn info --json`` prints, without ``schema_version``."""
        return {"path": self.path, "kind": self.kind, "facts": self.facts}


def describe(path: str | Path, *, labels: Labels = "auto", say: Say = silent) -> Description:
    """Tell what a path is, and what is in it. Large files such as weights and features are not read.

    Args:
        path: A mesh file, a mesh inside a zip, a collection, or an output folder of shapecnn; or the URL of one of
            these.
        labels: Source of the labels and splits of a collection: ``auto``, ``folder`` or ``none``.
        say: Callback for notes on how a collection was read.

    Returns:
        The kind of the path, and the facts.

    Raises:
        UsageError: The path is nothing that shapecnn knows.
        MeshError: A mesh file cannot be used as a mesh.
        CollectionError: A collection cannot be listed.
        StoredDataError: A file of an output folder is damaged.

    Example:
        >>> import shapecnn
        >>> shapecnn.describe("run").facts["classes"]
        ['box', 'cylinder', 'round']
    """
    path = as_path(path)
    kind = kind_of(path)
    if kind is not None:
        return Description(str(path), kind, _STORED[kind](path))
    if isinstance(path, Url):
        if find_format(path.name) is not None:
            return Description(str(path), "mesh", mesh_facts(path))
        if path.suffix.lower() != ".csv" and next(list_objects(path), None) is None:
            raise UsageError(f"There is nothing at {path}. {_ACCEPTED}")
        return Description(str(path), "collection", collection_facts(path, labels, say))
    inside_zip = not path.exists() and any(parent.is_file() for parent in path.parents)
    if find_format(path.name) is not None and (path.is_file() or inside_zip):
        return Description(str(path), "mesh", mesh_facts(path))
    if not path.exists():
        raise UsageError(f"There is no file or folder at {path}. {_ACCEPTED}")
    readable = path.is_dir() or (path.is_file() and (path.suffix.lower() == ".csv" or zipfile.is_zipfile(path)))
    if not readable:
        raise UsageError(f"{path} is not a mesh, and nothing that shapecnn wrote. {_ACCEPTED}")
    try:
        return Description(str(path), "collection", collection_facts(path, labels, say))
    except CollectionError as error:
        if path.is_dir() and "holds no mesh files" in str(error):
            raise UsageError(f"{path} is a folder without meshes, and shapecnn did not write it. {_ACCEPTED}") from None
        raise


_ACCEPTED = (
    f"Give a mesh ({', '.join(sorted(FORMATS))}), a collection (a folder of meshes, a zip of one, or a CSV), or a "
    f"folder that shapecnn wrote: artefacts, a run, an index or a report."
)
