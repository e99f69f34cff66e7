"""What a network and its stages ask of the data, told before anything is computed."""

from __future__ import annotations

from pathlib import Path

from shapecnn.errors import UsageError
from shapecnn.models.input import Input
from shapecnn.networks.network import ShapeNetwork
from shapecnn.networks.registry import takes
from shapecnn.settings.experiment import Experiment, GradientStage, LdaStage
from shapecnn.training.splits import Division

AnyStage = GradientStage | LdaStage


def require_fit(experiment: Experiment, seen: Input, data: Path) -> None:
    """Raise UsageError unless the network takes what ``data`` holds."""
    if not takes(experiment.network, seen.kind):
        command = "voxelize" if seen.kind == "views" else "render"
        raise UsageError(
            f"{data} holds {seen.kind}, which {experiment.network.kind} does not take. To make what it takes: "
            f"shapecnn {command} COLLECTION OUT"
        )


def require_part(network: ShapeNetwork, stage: AnyStage) -> None:
    """Raise UsageError unless the network has the part that ``stage`` trains from."""
    if isinstance(stage, GradientStage) and stage.train_from is not None:
        names = [*network.parts, "head"]
        if stage.train_from not in names:
            raise UsageError(
                f"stages.{stage.name}.train_from: the network has no part {stage.train_from!r}; in order they are "
                f"{', '.join(names)}."
            )


def require_shapes(division: Division, stage: AnyStage) -> None:
    """Raise UsageError unless ``stage`` can be computed from so few shapes."""
    shapes, classes = len(division.train), len(division.classes)
    if isinstance(stage, LdaStage) and shapes <= classes:
        raise UsageError(
            f"stages.{stage.name}: discriminant analysis needs more shapes than classes, and {shapes} of {classes} "
            f"classes are there to train on. Add shapes, or leave the stage out."
        )
