"""Checkpoint of a training: its state, saved to disk after every epoch, from which ``train --resume`` continues.

The file has the format of ``torch.save``. It is read only if its hash is correct, and with ``weights_only=True``, so
that it cannot execute code.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shapecnn.storage.checksums import SUMS
from shapecnn.storage.publishing import published
from shapecnn.storage.sealed import open_sealed, publish_beside

STATE = "state.pt"

REMEDY = "Restore the file from a copy, or start a new training in another folder."
"""Sentence that ends the error message for a damaged file of an unfinished training."""

Weights = dict[str, Tensor]


@dataclass(slots=True)
class State:
    """State of a training after an epoch or a stage, from which the training can be resumed.

    Attributes:
        stage: Number of finished stages.
        epoch: Number of finished epochs of the current stage.
        records: Lines of ``metrics.jsonl`` so far.
        best: Validation results of the best epoch of the current stage; None before its first epoch, or if no shapes
            are held out.
        best_epoch: Number of the best epoch, from 1 and counted over all stages; None before the first epoch.
        kept: Weights after the best epoch of the current stage; None if ``validation.select`` is ``last``.
        network: Weights after the latest epoch; None before the first epoch.
        optimizer: State dict of the optimizer of the current stage; None before its first epoch.
        seconds: Wall-clock time so far, in seconds.
    """

    stage: int = 0
    epoch: int = 0
    records: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Any] | None = None
    best_epoch: int | None = None
    kept: Weights | None = None
    network: Weights | None = None
    optimizer: dict[str, Any] | None = None
    seconds: float = 0.0


def save_state(folder: Path, state: State) -> None:
    """Save the state of a training, in place of the previously saved state.

    Args:
        folder: The folder ``resume`` in the folder of a run.
        state: The state of the training.
    """
    buffer = io.BytesIO()
    torch.save({name: getattr(state, name) for name in State.__slots__}, buffer)
    publish_beside(folder, {STATE: buffer.getvalue()}, REMEDY)


def load_state(folder: Path) -> State | None:
    """Load the saved state of a training.

    Args:
        folder: The folder ``resume`` in the folder of a run.

    Returns:
        The state; None if none was saved.

    Raises:
        StoredDataError: The file of the state is damaged.
    """
    if not published(folder, SUMS).exists():
        return None
    sealed = open_sealed(folder, REMEDY)
    if STATE not in sealed.sums:
        return None
    content = sealed.read(STATE)
    with sealed.validating(STATE):
        try:
            return State(**torch.load(io.BytesIO(content), weights_only=True, map_location="cpu"))
        except Exception as error:  # torch.load raises many kinds of errors for damaged files
            raise ValueError(type(error).__name__) from None
