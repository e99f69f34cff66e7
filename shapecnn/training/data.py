"""Shapes, labels and settings of one training, which stay the same through all its stages."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts
from shapecnn.models.input import Input
from shapecnn.settings.experiment import Experiment
from shapecnn.training.plan import Plan
from shapecnn.training.splits import Division


@dataclass(frozen=True)
class TrainingData:
    """Shapes to train on and held-out shapes, with what a network is to be trained to on them.

    Attributes:
        plan: The experiment and the folder of its data.
        artefacts: The pictures or grids in that folder.
        division: The shapes to train on, the held-out shapes, and the classes.
        input: How the network sees the artefacts.
    """

    plan: Plan
    artefacts: Artefacts
    division: Division
    input: Input

    @property
    def experiment(self) -> Experiment:
        """Network, validation and stages."""
        return self.plan.experiment

    @cached_property
    def entries(self) -> list[Entry]:
        """All N shapes: those to train on, then the held-out ones."""
        return [*self.division.train, *self.division.val]

    @cached_property
    def labels(self) -> Tensor:
        """(N,) int64, the class of each shape, from 0 to C - 1."""
        codes = {label: code for code, label in enumerate(self.division.classes)}
        return torch.tensor([codes[str(entry.label)] for entry in self.entries])

    @cached_property
    def train_rows(self) -> NDArray[np.int64]:
        """Rows of the shapes to train on, int64, in ``entries``, ``labels`` and activations."""
        return np.arange(len(self.division.train))

    @cached_property
    def val_rows(self) -> NDArray[np.int64]:
        """Rows of the held-out shapes, int64, in ``entries``, ``labels`` and activations."""
        return np.arange(len(self.division.train), len(self.entries))
