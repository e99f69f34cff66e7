"""Data of a training: shapes, labels and settings, which stay the same in all training stages."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapecnn.artefacts.manifest import Entry, quantities
from shapecnn.artefacts.reading import Artefacts
from shapecnn.models.input import Input
from shapecnn.settings.experiment import Experiment
from shapecnn.training.plan import Plan
from shapecnn.training.splits import Division


class Scale(NamedTuple):
    """Mean and standard deviation by which a quantity is standardized during training: (value − mean) / deviation.

    Attributes:
        mean: Mean over the shapes to train on.
        deviation: Standard deviation over the shapes to train on, above 0.
    """

    mean: float
    deviation: float

    def undo(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values of a quantity from standardized values, (N,) each."""
        return values * self.deviation + self.mean


@dataclass(frozen=True)
class TrainingData:
    """Data of a training: the shapes to train on, the held-out shapes, their views or grids, and the settings.

    Attributes:
        plan: The experiment and the folder of the artefacts.
        artefacts: The views or grids in the folder.
        division: The shapes to train on, the held-out shapes, and the classes.
        input: Converter from artefacts to the input of the network.
    """

    plan: Plan
    artefacts: Artefacts
    division: Division
    input: Input

    @property
    def experiment(self) -> Experiment:
        """Settings of the network, the validation and the training stages."""
        return self.plan.experiment

    @cached_property
    def entries(self) -> list[Entry]:
        """Manifest entries of all shapes: first the shapes to train on, then the held-out shapes."""
        return [*self.division.train, *self.division.val]

    @cached_property
    def labels(self) -> Tensor:
        """Class numbers of all N shapes, (N,) int64, in the order of ``entries``; they index the sorted class names."""
        codes = {label: code for code, label in enumerate(self.division.classes)}
        return torch.tensor([codes[str(entry.label)] for entry in self.entries])

    @property
    def outputs(self) -> int:
        """Number of outputs of the network: the number of classes, or 1 for a quantity."""
        return len(self.division.classes) if self.experiment.target == "class" else 1

    @cached_property
    def targets(self) -> Tensor:
        """What the network learns to predict of all N shapes, in the order of ``entries``.

        For classes, their numbers ``labels``, (N,) int64. For a quantity, its standardized values, (N,) float32.
        """
        if self.scale is None:
            return self.labels
        return torch.from_numpy((self._quantities - self.scale.mean) / self.scale.deviation).float()

    @cached_property
    def scale(self) -> Scale | None:
        """Mean and standard deviation of the quantity over the shapes to train on; None for classes."""
        if self.experiment.target == "class":
            return None
        values = self._quantities[self.train_rows]
        return Scale(float(values.mean()), float(values.std()))

    @property
    def _quantities(self) -> NDArray[np.float64]:
        assert self.experiment.target != "class"
        return quantities(self.entries, self.experiment.target)

    @cached_property
    def train_rows(self) -> NDArray[np.int64]:
        """Positions (int64) of the shapes to train on in ``entries``, ``labels`` and the stored activations alike."""
        return np.arange(len(self.division.train))

    @cached_property
    def val_rows(self) -> NDArray[np.int64]:
        """Positions (int64) of the held-out shapes in ``entries``, ``labels`` and the stored activations alike."""
        return np.arange(len(self.division.train), len(self.entries))
