"""Result of a training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shapecnn.models.calibration import Calibration
from shapecnn.training.validation import ValidationFigures


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """Result of a training.

    Attributes:
        run: Folder of the trained run.
        epochs: Number of epochs in all stages.
        best_epoch: Number, from 1, of the epoch whose weights were kept; None if no stage trains by gradients.
        validation: Figures of the run as it was saved; None if no shapes were held out.
        calibration: Temperature and threshold of the run; None if too few shapes were held out.
        seconds: Wall-clock time over all sittings.
    """

    run: Path
    epochs: int
    best_epoch: int | None
    validation: ValidationFigures | None
    calibration: Calibration | None
    seconds: float
