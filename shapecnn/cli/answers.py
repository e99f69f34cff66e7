"""Functions shared by predict, explain and query, the commands that print one result for each input file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapecnn.cli.console import note

if TYPE_CHECKING:
    from shapecnn.models.model import Model
    from shapecnn.settings.views_and_grids import Up


def note_drawing(model: Model) -> None:
    """Print a note if the model was trained on imported views or grids, which shapecnn cannot reproduce.

    Args:
        model: Model that processes the meshes.
    """
    if model.input.imported:
        note(model.input.note(model.name))


def resolve_up(option: Up | None, recorded: Up | None, reference: str) -> Up:
    """Return the up axis of the given meshes: the value of --up; without --up, the recorded axis; without both, z.

    A note is printed if the value of --up and the recorded axis differ.

    Args:
        option: Value of --up; None if the option was not given.
        recorded: Up axis with which the indexed or the training meshes were read; None if it was not recorded.
        reference: Description of the indexed or the training meshes, for the note.

    Returns:
        ``x``, ``y`` or ``z``.
    """
    if option is not None and recorded is not None and option != recorded:
        note(f"Note: {reference} were read with --up {recorded}, the given meshes with --up {option}.")
    return option or recorded or "z"
