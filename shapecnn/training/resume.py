"""State of a training on disk after every epoch, from which ``train --resume`` continues.

The file has torch's own format. It is read only if its hash is right, by an unpickler for tensors and plain values.
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

REMEDY = "Put it back from a copy, or begin another training in another folder."
"""Sentence that ends the message for a damaged file."""

Weights = dict[str, Tensor]


@dataclass(slots=True)
class State:
    """State of a training after an epoch or a stage.

    Attributes:
        stage: Number of finished stages.
        epoch: Number of finished epochs of the current stage.
        records: Lines of ``metrics.jsonl``.
        best: Validation figures of the best epoch of the current stage.
        best_epoch: Number of the epoch whose weights are kept, from 1, over all stages.
        kept: Weights of the best epoch of the current stage; None where the latest weights are kept.
        network: Latest weights.
        optimizer: State dict of the optimizer of the current stage.
        seconds: Wall-clock time so far.
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
    """Write a state in place of an earlier one.

    Args:
        folder: The ``resume`` folder of a run.
        state: The state after the latest epoch.
    """
    buffer = io.BytesIO()
    torch.save({name: getattr(state, name) for name in State.__slots__}, buffer)
    publish_beside(folder, {STATE: buffer.getvalue()}, REMEDY)


def load_state(folder: Path) -> State | None:
    """Read the latest state.

    Args:
        folder: The ``resume`` folder of a run.

    Returns:
        The state; None if none was saved.

    Raises:
        StoredDataError: The file is damaged.
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
        except Exception as error:  # other files fail in many ways
            raise ValueError(type(error).__name__) from None
