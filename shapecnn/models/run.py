"""Open runs, which are trained networks on disk with weights, classes and input settings. No code in them is executed.

Each file of a run is checked against its stored hash before the file is used.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from shapecnn.artefacts.manifest import Entry, one_vs_rest
from shapecnn.artefacts.reading import Artefacts
from shapecnn.errors import UsageError
from shapecnn.models.calibration import Calibration
from shapecnn.models.comparison import FeatureComparison
from shapecnn.models.head import WEIGHTS, ClassHead, QuantityHead
from shapecnn.models.input import Input
from shapecnn.models.metric import Projection, learn_command, read_metric
from shapecnn.models.stored_network import StoredNetwork
from shapecnn.settings.base import Settings, settings_hash
from shapecnn.settings.networks import NetworkSettings, Target, reads_neighbours
from shapecnn.settings.views_and_grids import Up, require_current
from shapecnn.storage.kinds import kind_of, require_kind
from shapecnn.storage.sealed import Sealed, open_sealed

FORMAT = 1
MODEL, CONFIG, SPLIT, METRICS = "model.json", "config.yaml", "split.json", "metrics.jsonl"


class _Description(Settings):
    """Values that shapecnn reads from ``model.json``; the other values in the file are for people only."""

    model_config = ConfigDict(extra="ignore")

    network: Annotated[NetworkSettings, Field(discriminator="kind")]
    target: Target = "class"  # missing in runs of earlier versions of shapecnn
    classes: tuple[str, ...]
    one_vs_rest: str | None = None  # missing in runs of earlier versions of shapecnn
    input: dict[str, Any]
    feature_size: int = Field(ge=1)
    discriminant: bool
    calibration: Calibration | None
    up: Up | None = None  # missing in runs of earlier versions of shapecnn


class _Ids(Settings):
    """Content of ``split.json``: ids of the training shapes and of the validation shapes."""

    train: frozenset[str]
    val: frozenset[str]
    groups: dict[str, Any] | None = None  # which shapes were kept together; missing in runs of earlier versions


@dataclass(frozen=True, slots=True)
class Run:
    """Trained network on disk, whose weights are not loaded yet. Implements :class:`shapecnn.models.model.Model`.

    Attributes:
        input: Kind and settings of the views or grids that the network expects.
        head: Class names, classifier and calibration; None if the run predicts a quantity.
        quantity: Quantity that the run predicts, and its last layer; None if the run predicts classes.
        network: Architecture and stored weights, from which the network is built.
        comparison: Comparison of shapes: which feature is compared, and how the similarity is computed.
        held_out: Ids of the training shapes (key ``train``) and of the validation shapes (key ``val``).
        up: Axis that pointed up in the training meshes; None if unknown.
        one_vs_rest: Class that the run distinguishes from all others, whose label is ``not`` and this class; None if it
            knows all classes by their names.
    """

    input: Input
    head: ClassHead | None
    quantity: QuantityHead | None
    network: StoredNetwork
    comparison: FeatureComparison
    held_out: Mapping[Literal["train", "val"], frozenset[str]]
    up: Up | None
    one_vs_rest: str | None
    _sealed: Sealed

    @property
    def folder(self) -> Path:
        """Folder of the run."""
        return self._sealed.folder

    @property
    def name(self) -> str:
        """Name of the model: the path of the run's folder."""
        return str(self.folder)

    def to_json(self) -> dict[str, Any]:
        """Return the values that determine the features of the run, for JSON; the key ``hash`` has their hash."""
        described = {
            "kind": "run",
            "weights": self.network.weights,
            "network": self.network.settings.model_dump(mode="json"),
            "input": self.input.to_json(),
        }
        if self.comparison.projection is not None:
            described["metric"] = self.comparison.projection.digest
        return {**described, "hash": settings_hash(described)}

    def compared_by(self, feature: str) -> Run:
        """Return a copy of the run that compares shapes by another feature.

        Args:
            feature: ``penultimate`` (input of the classifier) or ``metric`` (feature of the learned metric).

        Raises:
            UsageError: The run has no learned metric.
            MismatchError: The metric was learned for other weights than those of the run.
            StoredDataError: The metric is damaged.
        """
        projection = None if feature == "penultimate" else self.metric()
        if feature != "penultimate" and self.quantity is not None:
            raise UsageError(
                f"{self.folder} predicts the {self.quantity.target} and has no classes, from which a metric is "
                f"learned. Use the feature penultimate."
            )
        if projection is None and feature != "penultimate":
            raise UsageError(f"{self.folder} has no learned metric. To learn it: {learn_command(self.folder)}")
        return replace(self, comparison=replace(self.comparison, projection=projection))

    def metric(self) -> Projection | None:
        """Read the learned metric of the run; return None if the run has no metric.

        Raises:
            StoredDataError: The metric is damaged.
            MismatchError: The metric was learned for other weights than those of the run.
        """
        if self.head is None:
            return None
        learned = read_metric(self.folder, self.network.weights, self.head.feature_size)
        return learned and learned[0]

    def split(self, artefacts: Artefacts, name: Literal["train", "val", "test"]) -> list[Entry]:
        """Return the shapes of the training, validation or test set, sorted by id, with the labels that the run knows.

        The run stores the ids of the training and validation shapes. The folder of views or grids marks the test set.

        Args:
            artefacts: Opened folder of views or grids.
            name: ``train``, ``val`` or ``test``.

        Raises:
            UsageError: The folder of views or grids lacks shapes that the run was trained or validated on.
        """
        entries = self._select(artefacts, name)
        return entries if self.one_vs_rest is None else one_vs_rest(entries, self.one_vs_rest)

    def _select(self, artefacts: Artefacts, name: Literal["train", "val", "test"]) -> list[Entry]:
        if name == "test":
            return artefacts.select("test")
        entries = [entry for entry in artefacts.entries if entry.id in self.held_out[name]]
        missing = len(self.held_out[name]) - len(entries)
        if missing:
            raise UsageError(
                f"{artefacts.folder} lacks {missing} of the {len(self.held_out[name])} shapes in split {name} of the "
                f"run {self.folder}. Use the original training data. Or evaluate with --split test, which does not "
                f"need the missing shapes, but without --protocol train-gallery and --exclude-duplicates, which do."
            )
        return entries


def open_run(folder: Path) -> Run:
    """Open a run and check its files against their hashes, without loading the network.

    Args:
        folder: Folder of the run.

    Raises:
        UsageError: The folder contains no run, or its training is unfinished.
        StoredDataError: The run is damaged or from another version of shapecnn.
        MismatchError: The run was trained on views or grids from a version of shapecnn that rendered or voxelized
            differently.
    """
    sealed, described = describe_run(folder)
    sealed.check(WEIGHTS)  # needed because a cached engine does not read the weights
    with sealed.validating(MODEL):
        model = _Description.from_options(**described)
    config = shlex.quote(str(folder / CONFIG))
    remedy = (
        f"Render or voxelize the meshes again. To train on the result: shapecnn train {config} --data DIR --out RUN"
    )
    require_current(model.input, str(folder), remedy)
    with sealed.validating(MODEL):
        network_input = Input.of(model.input, model.network.turns, neighbours=reads_neighbours(model.network))
        if network_input.kind not in model.network.inputs:
            raise ValueError(f"the network {model.network.kind} does not read {network_input.kind}")
        if (model.target == "class") != bool(model.classes):
            raise ValueError("a run has classes, or predicts a quantity in their place")
        if len({*model.classes}) < len(model.classes):
            raise ValueError("a class name occurs twice")
        if model.calibration is not None and not 1e-6 < model.calibration.temperature < 1e6:
            raise ValueError("the calibration temperature is not between 1e-6 and 1e6")
    with sealed.validating(SPLIT):
        ids = _Ids.from_options(**sealed.json(SPLIT))
    return Run(
        input=network_input,
        head=ClassHead(model.classes, model.calibration, model.feature_size, sealed) if model.classes else None,
        quantity=QuantityHead(model.target, model.feature_size, sealed) if model.target != "class" else None,
        network=StoredNetwork(model.network, len(model.classes) or 1, network_input.side, network_input.kind, sealed),
        comparison=FeatureComparison(discriminant=model.discriminant),
        held_out={"train": ids.train, "val": ids.val},
        up=model.up,
        one_vs_rest=model.one_vs_rest,
        _sealed=sealed,
    )


def describe_run(folder: Path) -> tuple[Sealed, dict[str, Any]]:
    """Read ``model.json`` of a run, without checking its other files.

    Args:
        folder: Folder of the run.

    Returns:
        The opened folder, which checks each file against its hash when the file is read; and the content of
        ``model.json``.

    Raises:
        UsageError: The folder contains no run, or its training is unfinished.
        StoredDataError: The run is damaged or from another version of shapecnn.
    """
    if kind_of(folder) == "training":
        raise UsageError(
            f"The training in {folder} is unfinished. To go on: shapecnn train --resume {shlex.quote(str(folder))}"
        )
    require_kind(folder, "run", "To train one: shapecnn train CONFIG --data DIR --out RUN")
    sealed = open_sealed(folder, damaged_remedy(folder))
    return sealed, sealed.json(MODEL, FORMAT)


def damaged_remedy(folder: Path) -> str:
    """Return advice for the end of an error message about a damaged run.

    The message does not advise to repeat the training, because the other files of the run may be intact.

    Args:
        folder: Folder of the run.
    """
    return f"Restore the file from a copy. To see what else is damaged: shapecnn verify {shlex.quote(str(folder))}"
