"""A run on disk: weights, classes and what the network sees. Nothing that runs code is loaded.

Its files are published together, with their hashes, and each is held against its own before it is used.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from shapecnn.artefacts.manifest import Entry
from shapecnn.artefacts.reading import Artefacts
from shapecnn.errors import UsageError
from shapecnn.models.calibration import Calibration
from shapecnn.models.classifiers import Classifier
from shapecnn.models.gallery import Gallery
from shapecnn.models.input import Input
from shapecnn.models.metric import Projection, learn_command, read_metric
from shapecnn.models.output import Feature, Output
from shapecnn.models.space import FeatureSpace, Placed
from shapecnn.settings.artefacts import Up, require_current
from shapecnn.settings.core import Settings, settings_hash
from shapecnn.settings.experiment import NetworkSettings
from shapecnn.similarity import unit
from shapecnn.storage.arrays import array_of, read_arrays
from shapecnn.storage.kinds import kind_of, require_kind
from shapecnn.storage.sealed import Sealed, open_sealed

if TYPE_CHECKING:
    from shapecnn.networks.network import ShapeNetwork

FORMAT = 1
WEIGHTS, MODEL, CONFIG, SPLIT, METRICS = "model.safetensors", "model.json", "config.yaml", "split.json", "metrics.jsonl"
GALLERY = "gallery.safetensors"


class _Description(Settings):
    """What is used of ``model.json``; the rest is for people."""

    model_config = ConfigDict(extra="ignore")

    network: Annotated[NetworkSettings, Field(discriminator="kind")]
    classes: tuple[str, ...] = Field(min_length=1)
    input: dict[str, Any]
    feature_size: int = Field(ge=1)
    discriminant: bool
    calibration: Calibration | None
    up: Up | None = None  # which runs of earlier versions do not say


class _Ids(Settings):
    """``split.json``."""

    train: frozenset[str]
    val: frozenset[str]


@dataclass(frozen=True, slots=True)
class Run:
    """A trained network, opened but not yet loaded; a :class:`shapecnn.models.model.Model`.

    held_out: ids of its train and val.  feature_size: D.  discriminant: whether its features are coordinates in a
    discriminant space.  calibration: None where too few shapes were held out.  projection: what its features are
    compared by; None: they are compared as they are.  up: which axis was up in the meshes it was trained on; None: not
    known.
    """

    network: NetworkSettings
    classes: tuple[str, ...]
    input: Input
    held_out: Mapping[Literal["train", "val"], frozenset[str]]
    feature_size: int
    discriminant: bool
    calibration: Calibration | None
    up: Up | None
    _sealed: Sealed
    projection: Projection | None = None

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self._sealed.folder

    @property
    def name(self) -> str:
        """Its folder, as given."""
        return str(self.folder)

    @property
    def weights(self) -> str:
        """SHA-256 of the file that holds them."""
        return self._sealed.sums[WEIGHTS]

    @property
    def identity(self) -> str:
        """That of its weights, and of the network they are in."""
        return f"{self.weights} {self.network.digest()} {len(self.classes)} {self.input.side}"

    def to_json(self) -> dict[str, Any]:
        """All that decides its features, with a ``hash`` of it."""
        described = {
            "kind": "run",
            "weights": self.weights,
            "network": self.network.model_dump(mode="json"),
            "input": self.input.to_json(),
        }
        if self.projection is not None:
            described["metric"] = self.projection.digest
        return {**described, "hash": settings_hash(described)}

    @property
    def compared(self) -> str:
        """The feature by which its shapes are compared: ``penultimate`` or ``metric``."""
        return "penultimate" if self.projection is None else "metric"

    def represent(self, output: Output) -> Feature:
        """The feature of unit length by which one shape is compared with others."""
        return unit(output.feature) if self.projection is None else self.projection(output.feature)

    @property
    def adapt(self) -> bool:
        """False: what makes features comparable was learned."""
        return False

    def space(
        self,
        features: NDArray[np.float32],
        placed: Placed | None = None,  # noqa: ARG002  # there is none, nor would it save any time
    ) -> FeatureSpace:
        """That of the features."""
        return FeatureSpace(features)

    def comparing(self, feature: str) -> Run:
        """The same run with its shapes compared by ``penultimate`` or ``metric``.

        Raises UsageError if it has no metric, MismatchError or StoredDataError if that cannot be used.
        """
        if feature == "penultimate":
            return replace(self, projection=None)
        projection = self.metric()
        if projection is None:
            raise UsageError(f"{self.folder} has no learned metric. To learn it: {learn_command(self.folder)}")
        return replace(self, projection=projection)

    def metric(self) -> Projection | None:
        """The learned metric kept in the run; None if none was learned.

        Raises StoredDataError if it is damaged, MismatchError if it was learned for other weights.
        """
        found = read_metric(self.folder, self.weights, self.feature_size)
        return found and found[0]

    def split(self, artefacts: Artefacts, name: Literal["train", "val", "test"]) -> list[Entry]:
        """Train and val by the ids the run was trained and validated on, test as the data names it."""
        if name == "test":
            return artefacts.select("test")
        entries = [entry for entry in artefacts.entries if entry.id in self.held_out[name]]
        missing = len(self.held_out[name]) - len(entries)
        if missing:
            raise UsageError(
                f"{artefacts.folder} lacks {missing} of the {len(self.held_out[name])} shapes of {name} that "
                f"{self.folder} was trained with. Use the data it was trained on, or measure what does not need them: "
                f"--split test by another protocol than train-gallery, without --exclude-duplicates."
            )
        return entries

    def classifier(self) -> Classifier:
        """What turns features into logits.  Raises StoredDataError if damaged."""
        content = self._sealed.read(WEIGHTS)
        with self._sealed.expecting(WEIGHTS):
            state, count = read_arrays(content), len(self.classes)
            return Classifier(
                array_of(state, "classifier.weight", np.float32, (count, self.feature_size)),
                array_of(state, "classifier.bias", np.float32, (count,)),
            )

    def gallery(self) -> Gallery | None:
        """The shapes it was trained on, as it sees them.  Raises StoredDataError if damaged."""
        if GALLERY not in self._sealed.sums:
            return None
        content = self._sealed.read(GALLERY)
        with self._sealed.expecting(GALLERY):
            return Gallery.read(content, self.feature_size)

    def build(self) -> ShapeNetwork:
        """The network with its weights, in float32, ready to infer.  Raises StoredDataError if they are damaged."""
        from safetensors import SafetensorError
        from safetensors.torch import load

        from shapecnn.networks.registry import build_network, require_shapes

        content = self._sealed.read(WEIGHTS)
        untrained = {"weights": "none"} if self.network.kind == "mvcnn" else {}
        settings = self.network.model_copy(update=untrained)
        try:
            state = load(content)
            require_shapes(state, settings, self.input.side)  # before memory is taken for any
            network = build_network(settings, self.input.side, len(self.classes))
            network.load(state)
        except (SafetensorError, RuntimeError, KeyError) as error:
            raise self._sealed.unfit(WEIGHTS, f"it does not fit {MODEL}: {error}") from None
        return network.eval()


def open_run(folder: Path) -> Run:
    """The run in ``folder``, its files checked against their hashes.

    Raises UsageError if there is none or it is unfinished, StoredDataError if it is damaged or of another version,
    MismatchError if that version drew or filled otherwise.
    """
    sealed, described = describe_run(folder)
    sealed.check(WEIGHTS)  # an engine converted earlier would never look at them
    with sealed.expecting(MODEL):
        model = _Description.from_options(**described)
    config = shlex.quote(str(folder / CONFIG))
    again = f"Make its artefacts anew, and train it on them: shapecnn train {config} --data DIR --out RUN"
    require_current(model.input, str(folder), again)
    with sealed.expecting(MODEL):
        seen = Input.of(model.input, model.network.turns)
        if len({*model.classes}) < len(model.classes):
            raise ValueError("a class is there twice")
        if model.calibration is not None and not 1e-6 < model.calibration.temperature < 1e6:
            raise ValueError("its temperature is none that a training finds")
    with sealed.expecting(SPLIT):
        ids = _Ids.from_options(**sealed.json(SPLIT))
    return Run(
        model.network,
        model.classes,
        seen,
        {"train": ids.train, "val": ids.val},
        model.feature_size,
        model.discriminant,
        model.calibration,
        model.up,
        sealed,
    )


def describe_run(folder: Path) -> tuple[Sealed, dict[str, Any]]:
    """The files of the run in ``folder``, and what its ``model.json`` holds.  Raises as :func:`open_run` does."""
    if kind_of(folder) == "training":
        raise UsageError(
            f"The training in {folder} is unfinished. To go on: shapecnn train --resume {shlex.quote(str(folder))}"
        )
    require_kind(folder, "run", "To train one: shapecnn train CONFIG --data DIR --out RUN")
    sealed = open_sealed(folder, damaged_remedy(folder))
    return sealed, sealed.json(MODEL, FORMAT)


def damaged_remedy(folder: Path) -> str:
    """What helps against a damaged run: it may have taken days, and all else in it may be sound."""
    return f"Put it back from a copy. To see what else is damaged: shapecnn verify {shlex.quote(str(folder))}"
