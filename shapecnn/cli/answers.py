"""Helpers of the commands that answer for each input file: predict, explain and query."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapecnn.cli.console import SCHEMA_VERSION, note

if TYPE_CHECKING:
    from shapecnn.errors import ItemError
    from shapecnn.models.model import Model
    from shapecnn.settings.artefacts import Up


def note_drawing(model: Model) -> None:
    """Print a note if the model was trained on imported views or grids, which shapecnn cannot reproduce.

    Args:
        model: Model that the meshes are shown to.
    """
    if model.input.imported:
        note(model.input.note(model.name))


def resolve_up(option: Up | None, recorded: Up | None, reference: str) -> Up:
    """Return the up axis of the mesh files: the option, else the recorded axis, else z.

    A note is printed if the two differ.

    Args:
        option: Value of --up; None: not given.
        recorded: Up axis with which the indexed or training meshes were read; None: not recorded.
        reference: Name of those meshes, for the note.

    Returns:
        ``x``, ``y`` or ``z``.
    """
    if option is not None and recorded is not None and option != recorded:
        note(f"Note: {reference} were read with --up {recorded}; these are read with --up {option}.")
    return option or recorded or "z"


def failure_json(path: str, error: ItemError) -> dict[str, object]:
    """Return the JSON object that replaces the answer for a file that failed.

    Args:
        path: File as the user named it.
        error: Cause of the failure.

    Returns:
        An object with ``schema_version``, ``path`` and ``error``: its ``kind`` and ``message``.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "path": path,
        "error": {"kind": error.kind, "message": str(error)},
    }
