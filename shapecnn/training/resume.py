"""How far a training has come, on disk after every epoch. Opened by ``train --resume`` alone.

The file is torch's own, and is read only once its hash is right, with an unpickler that knows tensors and plain values.
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

REMEDY = "Put it back from a copy; without one this training cannot go on: begin another, in another folder."
"""What helps against a damaged one."""

Weights = dict[str, Tensor]


@dataclass(slots=True)
class State:
    """``epoch`` epochs of stage number ``stage`` are done.

    records: the lines of metrics.jsonl.  best_epoch: that of this stage whose weights were best, counted over all
    stages; best: its record.  kept: its weights, where they are not the latest.
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
    """Replace what ``folder`` holds."""
    buffer = io.BytesIO()
    torch.save({name: getattr(state, name) for name in State.__slots__}, buffer)
    publish_beside(folder, {STATE: buffer.getvalue()}, REMEDY)


def load_state(folder: Path) -> State | None:
    """What was saved; None if nothing was.  Raises StoredDataError if it is damaged."""
    if not published(folder, SUMS).exists():
        return None
    sealed = open_sealed(folder, REMEDY)
    if STATE not in sealed.sums:
        return None
    content = sealed.read(STATE)
    with sealed.expecting(STATE):
        try:
            return State(**torch.load(io.BytesIO(content), weights_only=True, map_location="cpu"))
        except Exception as error:  # what is no such archive fails in many ways
            raise ValueError(type(error).__name__) from None
