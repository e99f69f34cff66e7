"""Store which model and settings computed an index, check them on updates, and reopen the model for queries."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shapecnn.errors import MismatchError, StoredDataError, UsageError
from shapecnn.models.joined import JOINABLE, join
from shapecnn.models.model import JOINED, Model, resolve_model
from shapecnn.models.run import open_run
from shapecnn.models.untrained import UNTRAINED, UntrainedModel, UntrainedSettings
from shapecnn.settings.base import settings_hash
from shapecnn.settings.networks import DescriptorName
from shapecnn.settings.views_and_grids import Orientation, Up, require_current, require_same
from shapecnn.storage.objects.url import absolute, as_path


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """Description of the model and its settings that an index stores.

    Attributes:
        model: Absolute path of a run, or a name such as ``@imagenet``.
        settings: All settings that the features depend on, and a ``hash`` of them. They include ``up``, the up axis of
            the meshes, and ``simplify``, the number of faces of simplified meshes. A joined index has ``descriptor``,
            the settings of the descriptor. The path of a run is not included.
    """

    model: str
    settings: dict[str, Any]

    @classmethod
    def of(cls, model: Model, up: Up, simplify: int | None = None) -> ModelRecord:
        """Create the record of a model and of the settings with which meshes are read.

        Args:
            model: Model that computes the features.
            up: Axis that points up in the meshes: ``x``, ``y`` or ``z``.
            simplify: Number of faces to which larger meshes are simplified; None for a model without training, which
                has its own setting.

        Returns:
            The record.
        """
        described = {"up": up} | ({"simplify": simplify} if simplify else {}) | model.to_json()
        del described["hash"]
        if model.input.imported:  # settings of imported views or grids do not say how meshes are drawn or voxelized
            described |= model.input.drawing().version()
        name = absolute(model.name) if described["kind"] == "run" else model.name
        return cls(name, {**described, "hash": settings_hash(described)})

    @classmethod
    def read(cls, model: Any, settings: Any) -> ModelRecord:
        """Create a record from values stored in an index, after checking their types and their hash.

        Args:
            model: Stored value of ``model``, of any type.
            settings: Stored value of ``settings``, of any type.

        Returns:
            The record.

        Raises:
            ValueError: The values do not form a valid record.
        """
        if not isinstance(model, str) or not model.isprintable() or len(model) > 4096 or not isinstance(settings, dict):
            raise ValueError("the record does not name the model of the index")
        described = {key: value for key, value in settings.items() if key != "hash"}
        kind = settings.get("kind")
        if kind == "run":
            required = {"up": str, "weights": str, "network": dict, "input": dict}
        else:
            required = {"up": str} if f"@{kind}" in UNTRAINED else {"known": str}
        joined = settings.get(JOINED)
        if (
            settings.get("hash") != settings_hash(described)
            or any(not isinstance(settings.get(key), expected) for key, expected in required.items())
            or (JOINED in settings and not (isinstance(joined, dict) and joined.get("kind") in [*JOINABLE]))
        ):
            raise ValueError("the stored settings do not describe a model")
        return cls(model, settings)

    @property
    def up(self) -> Up:
        """Axis that points up in the meshes of the collection."""
        up: Up = self.settings["up"]
        return up

    @property
    def simplify(self) -> int | None:
        """Number of faces to which larger meshes were simplified; None: as in the training of the run, if at all."""
        simplify: int | None = self.settings.get("simplify")
        return simplify

    @property
    def orientation(self) -> Orientation:
        """Orientation of the meshes: ``upright`` if unchanged, ``auto`` if each mesh was aligned with computed axes."""
        input_settings = self.settings["input"] if self.settings["kind"] == "run" else self.settings
        orientation: Orientation = input_settings.get("orientation", "upright")  # imported: no key
        return orientation

    @property
    def feature(self) -> str:
        """Feature that the index compares: ``penultimate`` or ``metric``."""
        return "metric" if "metric" in self.settings else "penultimate"

    @property
    def descriptor(self) -> DescriptorName | None:
        """Name of the engineered descriptor that is joined with the feature of the network; None if none is."""
        joined: dict[str, DescriptorName] | None = self.settings.get(JOINED)
        return None if joined is None else joined["kind"]

    @property
    def description(self) -> str:
        """Description of the model in one line of text, for users."""
        joined = f", joined with {JOINABLE[self.descriptor]().description}" if self.descriptor else ""
        if self.settings["kind"] == "run":
            compared = ", compared by its metric" if self.feature == "metric" else ""
            return f"{self.settings['network']['kind']} trained in {self.model}{compared}{joined}"
        return f"{self._untrained().description}{joined}"

    def model_settings(self) -> dict[str, Any]:
        """Return the settings of an untrained model that a user can set, without hash, kind and version numbers."""
        fixed = ("hash", "kind", "drawing", "filling", "method", "scorer", JOINED)
        values = {key: value for key, value in self.settings.items() if key not in fixed}
        return values | ({JOINED: self.descriptor} if self.descriptor else {})

    def _untrained(self) -> UntrainedSettings:
        """Return the settings of a model that needs no training.

        Raises:
            UsageError: The settings are from another version of shapecnn.
        """
        settings = {key: value for key, value in self.settings.items() if key not in ("hash", JOINED)}
        return UNTRAINED[f"@{self.settings['kind']}"].from_options(**settings)

    def require_same(self, stored: ModelRecord, where: str, remedy: str) -> None:
        """Raise MismatchError unless a stored record has the same model and settings as this record.

        Args:
            stored: Record of the index at ``where``.
            where: Name of the index, with which the message begins.
            remedy: Sentence that says what to do, with which the message ends.
        """
        if stored._identity != self._identity:
            raise MismatchError(f"{where} was made with {stored._title} and not with {self._title}. {remedy}")
        require_current(stored._version, where, remedy)
        require_same(self.settings, stored.settings, where, remedy)

    def open(self, where: Path, run: str | None = None) -> Model:
        """Open the recorded model, to search the index with it.

        Args:
            where: Folder of the index, for error messages.
            run: New folder of the run, if the run has moved; None: the recorded folder.

        Returns:
            The model, which compares shapes by the feature of the index.

        Raises:
            MismatchError: The run has other weights than the recorded run, or this version of shapecnn draws or
                voxelizes meshes differently than the version that made the index.
            UsageError: The model does not exist.
            StoredDataError: The model is damaged or from another version.
        """
        again = (
            f"Build the index again: shapecnn index COLLECTION INDEX --model {shlex.quote(self.model)} --up {self.up}"
            + (f" --set {JOINED}={self.descriptor}" if self.descriptor else "")
        )
        require_current(self._version, str(where), again)
        model = self._resolve(where) if run is None else resolve_model(run)
        if self.descriptor is not None:
            model = join(model, self.descriptor)
        if self.feature == "metric" and ModelRecord.of(model, self.up, self.simplify)._identity == self._identity:
            model = model.compared_by("metric")
        if self.settings["kind"] != "run" and run is not None:
            remedy = "Leave out --model."
        else:
            moved = "If the run has moved, name its folder with --model RUN."
            remedy = f"{moved} Otherwise index the collection again, in a new folder."
        ModelRecord.of(model, self.up, self.simplify).require_same(self, str(where), remedy)
        return model

    def _resolve(self, where: Path) -> Model:
        if self.settings["kind"] == "run":
            try:
                return open_run(as_path(self.model))
            except UsageError:
                raise UsageError(
                    f"{where} was made with the run {self.model}, which does not exist any more. If the run "
                    f"has moved, name its folder: --model RUN"
                ) from None
        try:
            return UntrainedModel(self._untrained())
        except UsageError as error:
            raise StoredDataError(
                f"{where} is from another version of shapecnn ({error}). Index the collection again, in a new folder."
            ) from None

    @property
    def _version(self) -> Mapping[str, Any]:
        """Version numbers of the drawing and voxelizing code that made the index."""
        input_settings: dict[str, Any] = self.settings.get("input", self.settings)
        joined: dict[str, Any] = self.settings.get(JOINED, {})
        if input_settings.get("origin") != "imported":
            return {**joined, **input_settings}
        key = "drawing" if input_settings.get("kind") == "views" else "filling"
        return {**joined, key: self.settings.get(key, 1)}  # version 1 did not store its number

    @property
    def _identity(self) -> tuple[str, str, str]:
        """Kind of the model, such as ``run``, hash of the weights of a run, and joined descriptor (or empty)."""
        kind = self.settings["kind"]
        return kind, self.settings["weights"] if kind == "run" else "", self.descriptor or ""

    @property
    def _title(self) -> str:
        kind, weights, descriptor = self._identity
        model = f"{self.model} (weights {weights[:8]})" if kind == "run" else self.model
        return f"{model} joined with {descriptor}" if descriptor else model
