"""What the page says about the index, its model and the run that classifies shapes."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from shapecnn.api.records import SCHEMA_VERSION
from shapecnn.models.model import Model, classes_of
from shapecnn.search.index import Index


def about(name: str, index: Index, model: Model | None) -> dict[str, Any]:
    """Return what the page says about an index and a run. Folders of this machine are left out.

    Args:
        name: Name of the index.
        index: The index.
        model: Run that classifies shapes; None for none.
    """
    record = index.record
    return {
        "schema_version": SCHEMA_VERSION,
        "index": name,
        "model": record.description.replace(record.model, PurePath(record.model).name),
        "up": record.up,
        "shapes": len(index.shapes),
        "run": None if model is None else PurePath(model.name).name,
        "run_classes": 0 if model is None else len(classes_of(model)),
        "explains": model is not None and explains(model),
    }


def explains(model: Model) -> bool:
    """Return whether a run can say which views spoke for a class."""
    return bool(classes_of(model)) and model.network.descriptor is None and model.input.kind == "views"
