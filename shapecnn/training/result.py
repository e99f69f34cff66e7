"""Results of a training, as Python objects: :class:`TrainingResult` and its :class:`ValidationFigures`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shapecnn.errors import counted
from shapecnn.models.calibration import Calibration


@dataclass(frozen=True, slots=True)
class ValidationFigures:
    """Validation results: loss, accuracy and mAP of a network on the held-out shapes.

    Attributes:
        count: Number of held-out shapes.
        loss: Mean cross-entropy in nats.
        accuracy: Fraction of shapes whose class is predicted correctly, in [0, 1].
        mean_class_accuracy: Accuracy within each class, averaged over the classes, in [0, 1].
        mAP: Mean average precision of retrieval, in [0, 1]: each shape is a query among all other shapes, and shapes
            are compared by their class scores (protocol ``mvcnn``). None if no class has two held-out shapes.
    """

    count: int
    loss: float
    accuracy: float
    mean_class_accuracy: float
    mAP: float | None  # noqa: N815


@dataclass(frozen=True, slots=True, repr=False)
class TrainingResult:
    """Result of a training: the folder of the run, number of epochs, validation results and calibration.

    Attributes:
        run: Folder of the trained run.
        epochs: Number of epochs in all training stages together.
        best_epoch: Number, from 1, of the epoch whose weights were kept; None if no stage uses gradient descent.
        validation: Loss, accuracy and mAP of the final weights; None if no shapes were held out.
        calibration: Softmax temperature and unknown-shape threshold; None if too few shapes were held out.
        seconds: Wall-clock time in seconds, including the time before interruptions.
    """

    run: Path
    epochs: int
    best_epoch: int | None
    validation: ValidationFigures | None
    calibration: Calibration | None
    seconds: float

    def __repr__(self) -> str:
        """Return the folder of the run, the number of epochs, the validation results and whether it is calibrated."""
        measured = self.validation
        accuracy = (
            f", validation accuracy {measured.accuracy:.1%} of {counted(measured.count, 'shape')}" if measured else ""
        )
        few = "" if self.calibration else ", not calibrated: fewer than 20 shapes were held out"
        return f"<TrainingResult {self.run}: {counted(self.epochs, 'epoch')}{accuracy}{few}>"
