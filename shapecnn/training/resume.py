"""Save and load the checkpoint of a training, from which ``train --resume`` continues after an interruption.

The checkpoint is a file in the format of ``torch.save``. It is loaded only if its hash is correct, and with
``weights_only=True``, so that it cannot execute code.
"""

from __future__ import annotations

import io
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shapecnn.storage.checksums import SUMS
from shapecnn.storage.publishing import published
from shapecnn.storage.sealed import open_sealed, publish_beside
from shapecnn.storage.unfinished import RESUME_REMEDY

STATE = "state.pt"
LITTLE = 0.5
"""Seconds. A state that is saved in less time is saved after each epoch."""
SHARE = 10
"""Saving a larger state takes at most about this part of the time: it waits until SHARE times its own time is over."""

Weights = dict[str, Tensor]


@dataclass(slots=True)
class State:
    """State of a training after an epoch or a stage, from which the training can be resumed.

    Attributes:
        stage: Number of finished training stages.
        epoch: Number of finished epochs of the current training stage.
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
    """Save the state of a training to disk, and replace the previously saved state.

    Args:
        folder: The subfolder ``resume`` of the run folder.
        state: The state of the training.
    """
    buffer = io.BytesIO()
    torch.save({name: getattr(state, name) for name in State.__slots__}, buffer)
    publish_beside(folder, {STATE: buffer.getvalue()}, RESUME_REMEDY)


class Saving:
    """Saves states of a training: small ones always, large ones so seldom that saving takes a small part of the time.

    Saving 57 million weights and their momentum takes as long as an epoch with few shapes.

    Args:
        folder: The subfolder ``resume`` of the run folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seconds = self._finished = 0.0

    def save(self, state: State, *, always: bool = False) -> None:
        """Save a state, unless the one before took long and was saved only a short time ago.

        Args:
            state: The state of the training.
            always: Whether to save the state in any case.
        """
        started = time.monotonic()
        if not always and self._seconds > LITTLE and started - self._finished < SHARE * self._seconds:
            return
        save_state(self._folder, state)
        self._finished = time.monotonic()
        self._seconds = self._finished - started


def load_state(folder: Path) -> State | None:
    """Load the saved state of a training from disk.

    Args:
        folder: The subfolder ``resume`` of the run folder.

    Returns:
        The state; None if the folder contains no saved state.

    Raises:
        StoredDataError: The file with the saved state is damaged.
    """
    if not published(folder, SUMS).exists():
        return None
    sealed = open_sealed(folder, RESUME_REMEDY)
    if STATE not in sealed.sums:
        return None
    content = sealed.read(STATE)
    with sealed.validating(STATE):
        try:
            return State(**torch.load(io.BytesIO(content), weights_only=True, map_location="cpu"))
        except Exception as error:  # torch.load raises many kinds of errors for damaged files
            raise ValueError(type(error).__name__) from None
