"""What the commands have in common that answer about each file they are given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapecnn.cli.console import SCHEMA_VERSION, note

if TYPE_CHECKING:
    from shapecnn.errors import ItemError
    from shapecnn.models.model import Model
    from shapecnn.settings.artefacts import Up


def note_drawing(model: Model) -> None:
    """Say so where meshes cannot be shown to the model as its training data was made."""
    if model.input.imported:
        note(model.input.note(model.name))


def chosen_up(asked: Up | None, known: Up | None, what: str) -> Up:
    """Which axis of mesh files is taken to point up: what was asked for, else what is ``known``, else z.

    Args:
        asked: By --up.
        known: With which the meshes were read that the answers come from; None where that is not known.
        what: These meshes, for the note about another one.
    """
    if asked is not None and known is not None and asked != known:
        note(f"Note: {what} were read with --up {known}; these are read with --up {asked}.")
    return asked or known or "z"


def failure_json(path: str, error: ItemError) -> dict[str, object]:
    """What stands in the place of an answer."""
    return {
        "schema_version": SCHEMA_VERSION,
        "path": path,
        "error": {"kind": error.kind, "message": str(error)},
    }
