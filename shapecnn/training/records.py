"""Training log ``metrics.jsonl``: one line per epoch, and one line per LDA stage, which has no epochs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from shapecnn.training.result import Figures

Record = dict[str, Any]
"""One line of the training log: stage name and validation results; for an epoch also number, loss, rate, seconds."""


def make_record(stage: str, figures: Figures | None, **values: Any) -> Record:
    """Create one line of the training log, for an epoch or for an LDA stage, which has no epochs.

    Args:
        stage: Name of the training stage.
        figures: Validation results; None if no shapes are held out.
        values: For an epoch: its number, loss, learning rate and seconds. For an LDA stage: nothing.

    Returns:
        The line as a dict, with its keys in the order of the log.
    """
    return {"stage": stage, **values, "validation": asdict(figures) if figures else None}


def count_epochs(records: Sequence[Record]) -> int:
    """Count the epochs in a training log; its lines for LDA stages, which have no epochs, are not counted."""
    return sum("epoch" in record for record in records)


def metrics_bytes(records: Sequence[Record]) -> bytes:
    """Return the content of the training log ``metrics.jsonl``: one JSON object per line."""
    return "".join(json.dumps(record, allow_nan=False) + "\n" for record in records).encode()
