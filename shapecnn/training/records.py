"""Records of a training, the lines of ``metrics.jsonl``: one for each epoch and for each closed-form stage."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from shapecnn.training.validation import ValidationFigures

Record = dict[str, Any]
"""Name of the stage, validation figures and, for an epoch, its number, loss, learning rate and seconds."""


def make_record(stage: str, figures: ValidationFigures | None, **values: Any) -> Record:
    """Make the record of an epoch or of a closed-form stage.

    Args:
        stage: Name of the stage.
        figures: Figures on the held-out shapes; None if there are none.
        values: Further values of an epoch.

    Returns:
        The record, whose keys are in the order in which they are written.
    """
    return {"stage": stage, **values, "validation": asdict(figures) if figures else None}


def count_epochs(records: Sequence[Record]) -> int:
    """Count the records of epochs."""
    return sum("epoch" in record for record in records)


def metrics_bytes(records: Sequence[Record]) -> bytes:
    """Encode records as the content of ``metrics.jsonl``."""
    return "".join(json.dumps(record, allow_nan=False) + "\n" for record in records).encode()
