"""Result of a training: the folder of the run, number of epochs, validation results and calibration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shapecnn.models.calibration import Calibration
from shapecnn.training.validation import ValidationFigures


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """Result of a training: the folder of the run, number of epochs, validation results and calibration.

    Attributes:
        run: Folder of the trained run.
        epochs: Number of epochs in all stages.
        best_epoch: Number, from 1, of the epoch whose weights were kept; None without stages of gradient descent.
        validation: Validation results of the final weights; None if no shapes were held out.
        calibration: Temperature and unknown-shape threshold of the run; None if too few shapes were held out.
        seconds: Wall-clock time in seconds, including the time before interruptions.
    """

    run: Path
    epochs: int
    best_epoch: int | None
    validation: ValidationFigures | None
    calibration: Calibration | None
    seconds: float
