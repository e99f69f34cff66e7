"""Checks before a training starts: whether the data and the network fit the settings of the stages."""

from __future__ import annotations

from shapecnn.artefacts.reading import Artefacts
from shapecnn.errors import UsageError
from shapecnn.models.descriptors import require_descriptor_input
from shapecnn.networks.network import ShapeNetwork
from shapecnn.settings.experiment import Experiment
from shapecnn.settings.networks import LinearSettings
from shapecnn.settings.stages import GradientStage, LdaStage, Stage
from shapecnn.training.splits import Division


def require_kind(experiment: Experiment, artefacts: Artefacts) -> None:
    """Raise an error if a network for views is given voxel grids, or if artefacts do not fit an engineered descriptor.

    Args:
        experiment: Experiment with the settings of the network.
        artefacts: Opened folder of views or grids.

    Raises:
        UsageError: The network cannot read this kind of artefacts.
        MismatchError: The network is an engineered descriptor, which needs artefacts with other settings.
    """
    kind = artefacts.settings["kind"]
    if kind not in experiment.network.inputs:
        command = "voxelize" if kind == "views" else "render"
        raise UsageError(
            f"{artefacts.folder} contains {kind}, which the network {experiment.network.kind} cannot read. To make "
            f"the right input: shapecnn {command} COLLECTION OUT"
        )
    if isinstance(experiment.network, LinearSettings) and experiment.network.descriptor is not None:
        require_descriptor_input(experiment.network.descriptor, artefacts)


def require_part(network: ShapeNetwork, stage: Stage) -> None:
    """Raise UsageError if ``train_from`` of a training stage names a part that the network does not have.

    Args:
        network: The network.
        stage: A training stage of the experiment. LDA stages have no ``train_from`` and are always accepted.

    Raises:
        UsageError: The network has no part of this name.
    """
    if isinstance(stage, GradientStage) and stage.train_from is not None:
        names = [*network.parts, "head"]
        if stage.train_from not in names:
            raise UsageError(
                f"stages.{stage.name}.train_from: the network has no part {stage.train_from!r}. Use one of "
                f"{', '.join(names)}."
            )


def require_shapes(division: Division, stage: Stage) -> None:
    """Raise UsageError if an LDA stage has too few training shapes: LDA needs more shapes than classes.

    Args:
        division: The shapes to train on and their classes.
        stage: A training stage of the experiment. Gradient-descent stages are always accepted.

    Raises:
        UsageError: The number of shapes to train on is at most the number of classes.
    """
    shapes, classes = len(division.train), len(division.classes)
    if isinstance(stage, LdaStage) and shapes <= classes:
        raise UsageError(
            f"stages.{stage.name}: discriminant analysis needs more shapes than classes, but the train split has "
            f"{shapes} shapes of {classes} classes. Add shapes, or leave out this training stage."
        )
