"""How far a training has come, on disk after every epoch. Opened by ``train --resume`` alone."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shapecnn.errors import StoredDataError
from shapecnn.storage import write_atomic

STATE = "state.pt"

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
    write_atomic(folder / STATE, buffer.getvalue())


def load_state(folder: Path) -> State | None:
    """What was saved; None if nothing was.  Raises StoredDataError if it is damaged."""
    path = folder / STATE
    if not path.exists():
        return None
    try:
        return State(**torch.load(path, weights_only=True, map_location="cpu"))
    except Exception as error:  # damaged archives fail in many ways
        raise StoredDataError(
            f"{path} is damaged ({type(error).__name__}). Remove {folder.parent} and train the run again."
        ) from None
