"""Evaluate a network during training: validation results, features of the training shapes, and calibration.

Several processes compute the outputs of some shapes each. Only the first has all outputs; it computes what follows from
them, and sends it to the others, so that all choose the same best epoch.
"""

from __future__ import annotations

import copy
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapecnn.errors import TrainingError
from shapecnn.models.calibration import Calibration
from shapecnn.models.classifiers import Classifier
from shapecnn.models.familiarity import Familiarity
from shapecnn.models.gallery import Gallery
from shapecnn.networks.moments import Moments
from shapecnn.networks.network import ShapeNetwork
from shapecnn.settings.stages import LdaStage, LogisticStage, Stage
from shapecnn.training.activations import Activations
from shapecnn.training.calibration import FOLDS, calibrate
from shapecnn.training.crossfit import crossfit
from shapecnn.training.data import TrainingData
from shapecnn.training.parts import last_gradient_stage, outputs, own_outputs, start_part
from shapecnn.training.processes import add_up, from_first
from shapecnn.training.result import Figures
from shapecnn.training.splits import folds_of
from shapecnn.training.validation import figures_of, quantity_figures
from shapecnn.workers.progress import stage as progress_stage

if TYPE_CHECKING:
    from accelerate import Accelerator


class Measurement:
    """Computes outputs, validation results, gallery and calibration of a network during and after training.

    Args:
        data: The shapes to train on, the held-out shapes, and the settings.
        network: The network that is being trained.
        accelerator: Accelerate object with device, precision and processes.
    """

    def __init__(self, data: TrainingData, network: ShapeNetwork, accelerator: Accelerator) -> None:
        self.data, self.network, self.accelerator = data, network, accelerator

    def outputs(
        self, stage: Stage, activations: Activations, rows: NDArray[np.int64], *, vote: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Compute the logits and features of B shapes from their activations (stored inputs of one network part).

        Args:
            stage: The training stage that uses these activations.
            activations: Inputs of the network part at which the stage begins to compute.
            rows: (B,) int64, indices of the B shapes in the activations.
            vote: Whether to average over rotations of grids. Slow, therefore not used after each epoch.

        Returns:
            Pair of logits (B, C) and features (B, D), float32 on the CPU, for C classes and D numbers per feature; B is
            0 in all processes but the first.

        Raises:
            TrainingError: A logit is infinite or NaN.
        """
        start = start_part(self.network, self.data.experiment, stage)
        turns = self.data.input.turns if vote else 1
        with progress_stage("Computing scores and features") as progress:
            logits, features = outputs(self.network, activations, rows, self.accelerator, start, turns, progress)
        _require_finite(stage, from_first(self.accelerator, lambda: bool(torch.isfinite(logits).all())))
        return logits, features

    def moments(self, stage: Stage, activations: Activations) -> Moments:
        """Collect what LDA needs to know of the features of the training shapes, a batch at a time.

        Args:
            stage: The LDA stage.
            activations: Inputs of the network part at which the stage begins to compute.

        Returns:
            The moments of the features, which are averages over the rotations of grids.

        Raises:
            TrainingError: A logit is infinite or NaN.
        """
        rows, accelerator = self.data.train_rows, self.accelerator
        start = start_part(self.network, self.data.experiment, stage)
        moments, wrong = Moments(self.data.labels[rows], self.network.blocks), torch.zeros(())
        with progress_stage("Computing scores and features") as progress:
            for places, logits, features in own_outputs(
                self.network, activations, rows, accelerator, start, self.data.input.turns, progress
            ):
                moments.add(places, features)
                wrong += not torch.isfinite(logits).all()
        _require_finite(stage, not add_up(accelerator, wrong))
        moments.add_up(partial(add_up, accelerator))
        return moments

    def validate(
        self, stage: Stage, activations: Activations, *, vote: bool = False, temperature: float = 1.0
    ) -> Figures | None:
        """Compute loss, accuracies and mAP of the network, or the errors of a quantity, on the held-out shapes.

        Args:
            stage: The training stage that uses these activations.
            activations: Inputs of the network part at which the stage begins to compute.
            vote: Whether the network pools over several rotations of a shape with a single grid.
            temperature: Positive number by which the logits are divided.

        Returns:
            The results, the same in all processes; None if no shapes are held out.
        """
        rows = self.data.val_rows
        if not len(rows):
            return None
        logits, _ = self.outputs(stage, activations, rows, vote=vote)
        targets, scale = self.data.targets[rows], self.data.scale

        def figures() -> Figures:
            if scale is None:
                return figures_of(logits / temperature, targets, self.data.division.classes)
            return quantity_figures(logits, targets, scale)

        return from_first(self.accelerator, figures)

    def gallery(self, stage: Stage, activations: Activations) -> Gallery:
        """Compute the gallery of a run: the features of all shapes that the network was trained on.

        Args:
            stage: The last training stage.
            activations: Inputs of the network part at which the stage begins to compute.

        Returns:
            The ids, labels and features of the shapes; of no shapes in all processes but the first.
        """
        _, features = self.outputs(stage, activations, self.data.train_rows, vote=True)
        train = self.data.division.train[: len(features)]
        return Gallery.of([entry.id for entry in train], [str(entry.label) for entry in train], features.numpy())

    def calibration(self, stage: Stage, activations: Activations, gallery: Gallery) -> Calibration | None:
        """Calibrate the scores on the held-out shapes, or by cross-validation if no shapes are held out.

        Args:
            stage: The last training stage.
            activations: Inputs of the network part at which the stage begins to compute.
            gallery: The features of the shapes that the network was trained on, which the first process needs.

        Returns:
            The temperature of the scores and the threshold for unknown shapes. None if there are too few shapes, or if
            gradient descent has trained on all shapes.
        """
        rows = self.data.val_rows
        if not len(rows):
            return self._cross_validated(stage, activations)
        logits, features = self.outputs(stage, activations, rows, vote=True)
        state = self.network.state_dict()
        weight, bias = (state[f"classifier.{name}"].cpu().numpy() for name in ("weight", "bias"))

        def calibrated() -> Calibration | None:
            familiarity = Familiarity(gallery, Classifier(weight, bias)).familiarity(features.numpy())
            return calibrate(logits.double().numpy(), self.data.labels[rows].numpy(), familiarity)

        return from_first(self.accelerator, calibrated)

    def _cross_validated(self, stage: Stage, activations: Activations) -> Calibration | None:
        """Calibrate LDA or logistic regression by cross-validation; None if gradient descent trained the features.

        After gradient descent, cross-validation of the classifier would be too optimistic: the features were trained on
        the shapes of all folds.
        """
        data = self.data
        if not isinstance(stage, LdaStage | LogisticStage) or last_gradient_stage(data.experiment) is not None:
            return None
        folds = folds_of(data.artefacts, data.division.train, FOLDS, data.experiment.validation)
        if folds is None:
            return None
        bare = copy.deepcopy(self.network)
        bare.discriminant = bare.classifier = None
        start = start_part(bare, data.experiment, stage)
        with progress_stage("Computing features") as progress:
            turns = data.input.turns
            _, features = outputs(bare, activations, data.train_rows, self.accelerator, start, turns, progress)
        labels = data.labels[data.train_rows]

        def calibrated() -> Calibration | None:
            with progress_stage("Calibrating by cross-validation", "folds") as progress:
                logits, familiarity = crossfit(features, labels, folds, bare.blocks, stage, progress)
            return calibrate(logits, labels.numpy(), familiarity, by="cross-validation")

        return from_first(self.accelerator, calibrated)


def _require_finite(stage: Stage, finite: bool) -> None:
    """Raise TrainingError unless all scores of the network after a stage are finite."""
    if not finite:
        raise TrainingError(
            f"The network has infinite or NaN scores after stage {stage.name}. Start a new training in "
            f"another --out folder, with a lower learning_rate or with clip=1 in the last gradient-descent stage."
        )
