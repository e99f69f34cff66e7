"""Training log ``metrics.jsonl``: one line (record) for each epoch and each closed-form stage."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from shapecnn.training.validation import ValidationFigures

Record = dict[str, Any]
"""Line of the training log: stage name, validation results and, for an epoch, number, loss, learning rate, seconds."""


def make_record(stage: str, figures: ValidationFigures | None, **values: Any) -> Record:
    """Create the training-log record of an epoch or of a closed-form stage.

    Args:
        stage: Name of the stage.
        figures: Validation results; None if no shapes are held out.
        values: Number, loss, learning rate and seconds of an epoch; nothing for a closed-form stage.

    Returns:
        The record, with its keys in the order of the log.
    """
    return {"stage": stage, **values, "validation": asdict(figures) if figures else None}


def count_epochs(records: Sequence[Record]) -> int:
    """Return how many records of a training log are of epochs, not of closed-form stages."""
    return sum("epoch" in record for record in records)


def metrics_bytes(records: Sequence[Record]) -> bytes:
    """Return records as the content of ``metrics.jsonl``: one JSON object per line."""
    return "".join(json.dumps(record, allow_nan=False) + "\n" for record in records).encode()
