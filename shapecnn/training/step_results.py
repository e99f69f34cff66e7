"""Results of a search for the step size (learning rate), as Python objects: :class:`StepSearch`."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from shapecnn.errors import counted
from shapecnn.shared.results import Displayed, text_table
from shapecnn.training.result import Figures, QuantityFigures


@dataclass(frozen=True, slots=True)
class StepTrial:
    """Result of training a stage with one learning rate.

    Attributes:
        learning_rate: The learning rate.
        loss: Training loss of the last epoch; None if the training diverged.
        validation: Validation results after the last epoch; None if the training diverged.
    """

    learning_rate: float
    loss: float | None
    validation: Figures | None


@dataclass(frozen=True, slots=True, repr=False)
class StepSearch(Displayed):
    """Result of a search for the step size (learning rate) of a training stage. It prints as a table.

    Attributes:
        stage: Name of the training stage.
        epochs: Number of epochs of each trial.
        trials: One trial for each learning rate, in ascending order. At least one did not diverge.
    """

    stage: str
    epochs: int
    trials: tuple[StepTrial, ...]

    def __repr__(self) -> str:
        """Return the stage and the number of epochs, and the rows as a text table."""
        return (
            f"Stage {self.stage}, {counted(self.epochs, 'epoch')} with each learning rate:\n{text_table(self.rows())}"
        )

    def rows(self) -> list[dict[str, Any]]:
        """Return one row for each learning rate; loss, validation loss and accuracy (or R²) are None if it diverged."""
        name = "R2" if isinstance(self.best.validation, QuantityFigures) else "accuracy"
        return [
            {
                "learning rate": trial.learning_rate,
                "loss": trial.loss,
                "validation loss": trial.validation and trial.validation.loss,
                name: trial.validation and getattr(trial.validation, name),
                "best": trial is self.best,
            }
            for trial in self.trials
        ]

    @property
    def best(self) -> StepTrial:
        """The trial with the lowest validation loss; of equal ones, the one with the smallest learning rate."""
        return min(self.trials, key=lambda trial: trial.validation.loss if trial.validation else math.inf)

    @property
    def at_end(self) -> bool:
        """Whether the best learning rate is the smallest or the largest one, so that a better one may lie beyond."""
        return self.best in (self.trials[0], self.trials[-1])

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON object."""
        return {
            "stage": self.stage,
            "epochs": self.epochs,
            "trials": [asdict(trial) for trial in self.trials],
            "best": asdict(self.best),
            "at_end": self.at_end,
        }
