"""Requirements of a network and its stages on the data, checked before anything is computed."""

from __future__ import annotations

from pathlib import Path

from shapecnn.errors import UsageError
from shapecnn.models.input import Input
from shapecnn.networks.network import ShapeNetwork
from shapecnn.networks.registry import takes
from shapecnn.settings.experiment import Experiment, GradientStage, LdaStage, Stage
from shapecnn.training.splits import Division


def require_kind(experiment: Experiment, network_input: Input, data: Path) -> None:
    """Require pictures for a network of pictures, and grids for a network of grids.

    Args:
        experiment: Names the network.
        network_input: What the artefacts hold: views or voxels.
        data: Folder of the artefacts, for the message.

    Raises:
        UsageError: The network reads the other kind.
    """
    if not takes(experiment.network, network_input.kind):
        command = "voxelize" if network_input.kind == "views" else "render"
        raise UsageError(
            f"{data} holds {network_input.kind}, which {experiment.network.kind} does not take. To make what it takes: "
            f"shapecnn {command} COLLECTION OUT"
        )


def require_part(network: ShapeNetwork, stage: Stage) -> None:
    """Require that a network has the part that a stage trains from.

    Args:
        network: The network.
        stage: One of its stages; a closed form needs no part.

    Raises:
        UsageError: There is no such part.
    """
    if isinstance(stage, GradientStage) and stage.train_from is not None:
        names = [*network.parts, "head"]
        if stage.train_from not in names:
            raise UsageError(
                f"stages.{stage.name}.train_from: the network has no part {stage.train_from!r}. Use one of "
                f"{', '.join(names)}."
            )


def require_shapes(division: Division, stage: Stage) -> None:
    """Require enough shapes for a closed form: more than there are classes.

    Args:
        division: The shapes to train on.
        stage: One of the stages; training by gradients needs no number of shapes.

    Raises:
        UsageError: There are too few shapes.
    """
    shapes, classes = len(division.train), len(division.classes)
    if isinstance(stage, LdaStage) and shapes <= classes:
        raise UsageError(
            f"stages.{stage.name}: discriminant analysis needs more shapes than classes, and {shapes} of {classes} "
            f"classes are there to train on. Add shapes, or leave the stage out."
        )
