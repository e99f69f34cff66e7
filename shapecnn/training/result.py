"""Results of a training, as Python objects: :class:`TrainingResult` and the validation results in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shapecnn.errors import counted
from shapecnn.models.calibration import Calibration
from shapecnn.settings.networks import Target


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
        mAP_macro: Mean over the classes of the mean average precision of their shapes; None as for ``mAP``, and in
            results of earlier versions of shapecnn.
    """

    count: int
    loss: float
    accuracy: float
    mean_class_accuracy: float
    mAP: float | None  # noqa: N815
    mAP_macro: float | None = None  # noqa: N815

    @property
    def headline(self) -> str:
        """The accuracy as text: ``validation accuracy 91.2%``; of unbalanced classes, the mean class accuracy first."""
        accuracy, by_class = f"{self.accuracy:.1%}", f"{self.mean_class_accuracy:.1%}"
        if accuracy == by_class:
            return f"validation accuracy {accuracy}"
        return f"validation mean class accuracy {by_class}, accuracy {accuracy}"

    @property
    def quality(self) -> float:
        """Number by which epochs are compared, higher is better: the mean class accuracy."""
        return self.mean_class_accuracy


@dataclass(frozen=True, slots=True)
class QuantityFigures:
    """Validation results of a network that predicts a quantity, such as the area, on the held-out shapes.

    Attributes:
        count: Number of held-out shapes.
        loss: Mean squared error of the standardized quantity: 1 is about the loss of always predicting the mean.
        R2: Coefficient of determination, at most 1; None if all held-out shapes have the same value.
        RMSE: Root mean squared error, in the unit of the quantity.
        MAE: Mean absolute error, in the unit of the quantity.
    """

    count: int
    loss: float
    R2: float | None
    RMSE: float
    MAE: float

    @property
    def headline(self) -> str:
        """R² and the error as text: ``validation R² 0.912, RMSE 0.0345``."""
        explained = "undefined" if self.R2 is None else f"{self.R2:.3f}"
        return f"validation R² {explained}, RMSE {self.RMSE:.3g}"

    @property
    def quality(self) -> float:
        """Number by which epochs are compared, higher is better: minus the root mean squared error."""
        return -self.RMSE


Figures = ValidationFigures | QuantityFigures
"""Validation results of a network that predicts classes, or a quantity."""


def stored_figures(values: Mapping[str, Any]) -> Figures:
    """Create validation results from a dict with the names and values of their attributes.

    Raises:
        TypeError: An attribute is missing or unknown.
    """
    return QuantityFigures(**values) if "RMSE" in values else ValidationFigures(**values)


@dataclass(frozen=True, slots=True, repr=False)
class TrainingResult:
    """Result of a training: the folder of the run, number of epochs, validation results and calibration.

    Attributes:
        run: Folder of the trained run.
        epochs: Number of epochs in all training stages together.
        best_epoch: Number, from 1, of the epoch whose weights were kept; None if no stage uses gradient descent.
        validation: Loss, accuracy and mAP (of a quantity, loss and errors) of the final weights; None if no shapes were
            held out.
        calibration: Softmax temperature and unknown-shape threshold; None if too few shapes were held out, or if the
            network predicts a quantity.
        seconds: Wall-clock time in seconds, including the time before interruptions.
        target: What the network predicts: ``class``, ``area`` or ``volume``.
    """

    run: Path
    epochs: int
    best_epoch: int | None
    validation: Figures | None
    calibration: Calibration | None
    seconds: float
    target: Target = "class"

    def __repr__(self) -> str:
        """Return the folder of the run, the number of epochs, the validation results and whether it is calibrated."""
        measured = self.validation
        figures = f", {measured.headline} of {counted(measured.count, 'shape')}" if measured else ""
        calibrated = self.calibration or self.target != "class"
        few = "" if calibrated else ", not calibrated: fewer than 20 shapes were held out"
        return f"<TrainingResult {self.run}: {counted(self.epochs, 'epoch')}{figures}{few}>"
