"""Checks before a training starts: whether the data and the network fit the settings of the stages."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from math import isnan

from shapecnn.artefacts.manifest import Entry, quantities, why_unknown
from shapecnn.artefacts.reading import Artefacts
from shapecnn.errors import UsageError, counted, quoted
from shapecnn.models.descriptors import require_descriptor_input
from shapecnn.networks.network import ShapeNetwork
from shapecnn.settings.base import few
from shapecnn.settings.experiment import Experiment
from shapecnn.settings.networks import LinearSettings, NetworkSettings, QuantityName, reads_neighbours
from shapecnn.settings.stages import GradientStage, LdaStage, Stage
from shapecnn.settings.views_and_grids import ALL_SIDES
from shapecnn.training.data import TrainingData
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


def require_ring(network: NetworkSettings, artefacts: Artefacts) -> None:
    """Raise UsageError if a network reads neighbouring views, but the views do not form a ring around the up axis.

    Imported views are taken for a ring, in the order of their files, unless their number is one of those from all
    sides.

    Args:
        network: Settings of the network.
        artefacts: Opened folder of views, or of grids for a network that reads grids.

    Raises:
        UsageError: The views are from all sides.
    """
    settings = artefacts.settings
    if reads_neighbours(network) and (settings["views"] in ALL_SIDES or settings.get("silhouettes")):
        raise UsageError(
            f"{artefacts.folder} contains {settings['views']} views from all sides, but pooling adapter reads each "
            f"view with its neighbours on a ring around the up axis. Use --set network.pooling=max, or make a ring of "
            f"views: shapecnn render COLLECTION OUT"
        )


def require_class(artefacts: Artefacts, entries: Sequence[Entry], label: str) -> None:
    """Raise UsageError if the class of ``one_vs_rest`` does not occur among the shapes to train on.

    Args:
        artefacts: Opened folder of views or grids.
        entries: Shapes to divide into training and validation shapes, and perhaps shapes of the test split.
        label: Name of the class.

    Raises:
        UsageError: No shape of the splits train and val has this label.
    """
    classes = sorted({entry.label for entry in entries if entry.split != "test" and entry.label is not None})
    if label not in classes:
        close = difflib.get_close_matches(label, classes, n=3) or classes
        raise UsageError(
            f"one_vs_rest: {artefacts.folder} has no shapes of class {quoted(label)} to train on. Use one of its "
            f"classes: {few(close)}."
        )


def measured_shapes(
    artefacts: Artefacts, entries: Sequence[Entry], target: QuantityName, say: Callable[[str], None]
) -> list[Entry]:
    """Select the shapes whose quantity is known, and say how many shapes to train or validate on are left out.

    Args:
        artefacts: Opened folder of views or grids.
        entries: Rows of the manifest.
        target: Quantity that the network learns: ``area`` or ``volume``.
        say: Callback with a message, if shapes are left out.

    Returns:
        The shapes with a known value.

    Raises:
        UsageError: No shape has a known value.
    """
    known = [entry for entry, value in zip(entries, quantities(entries, target), strict=True) if not isnan(value)]
    if not known:
        raise UsageError(f"{artefacts.folder} has no {target} of any shape to learn from. {why_unknown(entries)}")
    lost = sum(entry.split != "test" for entry in entries) - sum(entry.split != "test" for entry in known)
    if lost:
        say(f"{counted(lost, 'shape')} without a known {target} left out of the training. {why_unknown(entries)}")
    return known


def require_spread(data: TrainingData) -> None:
    """Raise UsageError if all shapes to train on have the same value of the quantity that the network learns.

    Args:
        data: Shapes and settings of the training.

    Raises:
        UsageError: The quantity does not vary.
    """
    if data.scale is not None and not data.scale.deviation > 1e-9 * abs(data.scale.mean):  # more than rounding errors
        raise UsageError(
            f"All {len(data.division.train)} shapes to train on in {data.plan.data} have the same "
            f"{data.experiment.target}, so there is nothing to learn. Use other data, or another target."
        )


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
