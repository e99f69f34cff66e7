"""Measurement of a network in training: validation figures, the gallery, and the calibration of its scores."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapecnn.errors import TrainingError
from shapecnn.models.calibration import Calibration
from shapecnn.models.classifiers import Classifier
from shapecnn.models.familiarity import Familiarity
from shapecnn.models.gallery import Gallery
from shapecnn.networks.network import ShapeNetwork
from shapecnn.settings.experiment import LdaStage, Stage
from shapecnn.training.activations import Activations
from shapecnn.training.calibration import FOLDS, calibrate
from shapecnn.training.crossfit import crossfit
from shapecnn.training.data import TrainingData
from shapecnn.training.parts import last_gradient_stage, outputs, start_part
from shapecnn.training.splits import folds_of
from shapecnn.training.validation import ValidationFigures, figures_of

if TYPE_CHECKING:
    from accelerate import Accelerator


class Measurement:
    """Measures a network between its stages and at the end of a training.

    Args:
        data: The shapes to train on and the held-out ones.
        network: The network in training.
        accelerator: Sets device, precision and processes.
    """

    def __init__(self, data: TrainingData, network: ShapeNetwork, accelerator: Accelerator) -> None:
        self.data, self.network, self.accelerator = data, network, accelerator

    def outputs(
        self, stage: Stage, activations: Activations, rows: NDArray[np.int64], *, vote: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Compute logits and features of some shapes.

        Args:
            stage: The stage that the activations belong to.
            activations: The input of the first part that the stage trains.
            rows: (B,) int64, the rows of the activations.
            vote: Whether quarter turns of grids vote, which costs as much as the rest of an epoch.

        Returns:
            Logits (B, C) and features (B, D), float32 on the CPU.

        Raises:
            TrainingError: A logit is not finite.
        """
        start = start_part(self.network, self.data.experiment, stage)
        turns = self.data.input.turns if vote else 1
        logits, features = outputs(self.network, activations, rows, self.accelerator, start, turns)
        if not torch.isfinite(logits).all():
            raise TrainingError(
                f"Stage {stage.name} left weights that are not finite. Train into another folder with a lower "
                f"learning_rate, or with clip=1, in the last stage that has them."
            )
        return logits, features

    def validate(
        self, stage: Stage, activations: Activations, *, vote: bool = False, temperature: float = 1.0
    ) -> ValidationFigures | None:
        """Measure the network on the held-out shapes.

        The main process computes and sends the figures to the others: batch statistics differ between processes, and
        all processes have to stop in the same epoch.

        Args:
            stage: The stage that the activations belong to.
            activations: The input of the first part that the stage trains.
            vote: Whether quarter turns of grids vote.
            temperature: Divides the logits, positive.

        Returns:
            The figures, the same in all processes; None if no shapes are held out.
        """
        from accelerate.utils import broadcast_object_list

        rows = self.data.val_rows
        if not len(rows):
            return None
        figures = None
        if self.accelerator.is_main_process:
            logits, _ = self.outputs(stage, activations, rows, vote=vote)
            figures = figures_of(logits / temperature, self.data.labels[rows], self.data.division.classes)
        return cast("ValidationFigures", broadcast_object_list([figures])[0])

    def gallery(self, stage: Stage, activations: Activations) -> Gallery:
        """Compute the gallery: the features of the shapes that the network was trained on.

        Args:
            stage: The last stage.
            activations: The input of the first part that the stage trains.

        Returns:
            Ids, labels and features (N, D) float32.
        """
        _, features = self.outputs(stage, activations, self.data.train_rows, vote=True)
        train = self.data.division.train
        return Gallery.of([entry.id for entry in train], [str(entry.label) for entry in train], features.numpy())

    def calibration(self, stage: Stage, activations: Activations, gallery: Gallery) -> Calibration | None:
        """Calibrate the scores on the held-out shapes, or by cross-validation where none are held out.

        Args:
            stage: The last stage.
            activations: The input of the first part that the stage trains.
            gallery: The features of the shapes that the network was trained on.

        Returns:
            The temperature of the scores and the threshold for unknown shapes; None if too few shapes tell them.
        """
        rows = self.data.val_rows
        if not len(rows):
            return self._cross_validated(stage, activations)
        logits, features = self.outputs(stage, activations, rows, vote=True)
        state = self.network.state_dict()
        weight, bias = (state[f"classifier.{name}"].cpu().numpy() for name in ("weight", "bias"))
        familiarity = Familiarity(gallery, Classifier(weight, bias)).familiarity(features.numpy())
        return calibrate(logits.double().numpy(), self.data.labels[rows].numpy(), familiarity)

    def _cross_validated(self, stage: Stage, activations: Activations) -> Calibration | None:
        """Calibrate by cross-validation, where a closed form is all that was trained.

        Features that were trained by gradients know the shapes they were trained on: no fold would be unknown to them.
        """
        data = self.data
        if not isinstance(stage, LdaStage) or last_gradient_stage(data.experiment) is not None:
            return None
        folds = folds_of(data.artefacts, data.division.train, FOLDS, data.experiment.validation.seed)
        if folds is None:
            return None
        bare = copy.deepcopy(self.network)
        bare.discriminant = bare.classifier = None
        start = start_part(bare, data.experiment, stage)
        _, features = outputs(bare, activations, data.train_rows, self.accelerator, start, data.input.turns)
        labels = data.labels[data.train_rows]
        logits, familiarity = crossfit(features, labels, folds, bare.blocks, stage)
        return calibrate(logits, labels.numpy(), familiarity, by="cross-validation")
