"""Record of the model that made an index: it identifies the model, and finds it again for queries."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shapecnn.errors import MismatchError, StoredDataError, UsageError
from shapecnn.models.model import Model, resolve_model
from shapecnn.models.run import open_run
from shapecnn.models.untrained import ImagenetSettings, UntrainedModel
from shapecnn.settings.artefacts import Orientation, Up, require_current, require_same
from shapecnn.settings.core import settings_hash


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """Model of an index, as the index stores it.

    Attributes:
        model: ``@imagenet``, or the absolute path of a run.
        settings: Everything that decides the features, with a ``hash`` of it; ``up`` of the collection's meshes and the
            number of faces they were simplified to are among them, the path of the run is not.
    """

    model: str
    settings: dict[str, Any]

    @classmethod
    def of(cls, model: Model, up: Up, simplify: int | None = None) -> ModelRecord:
        """Return the record of a model and of how meshes are read for it.

        Args:
            model: The model.
            up: Axis that points up in the meshes.
            simplify: Number of faces that larger meshes are simplified to; ``@imagenet`` has its own in its settings.
        """
        described = {"up": up} | ({"simplify": simplify} if simplify else {}) | model.to_json()
        del described["hash"]
        if model.input.imported:  # its own settings do not say how meshes are drawn or filled for it
            described |= model.input.drawing().version()
        name = os.path.abspath(model.name) if described["kind"] == "run" else model.name
        return cls(name, {**described, "hash": settings_hash(described)})

    @classmethod
    def read(cls, model: Any, settings: Any) -> ModelRecord:
        """Return the record that an index holds.

        Raises:
            ValueError: The values cannot be those of a record.
        """
        if not isinstance(model, str) or not model.isprintable() or len(model) > 4096 or not isinstance(settings, dict):
            raise ValueError("it does not say what made it")
        described = {key: value for key, value in settings.items() if key != "hash"}
        kinds = {"imagenet": {}, "run": {"weights": str, "network": dict, "input": dict}}
        required = {"kind": str, "up": str, **kinds.get(str(settings.get("kind")), {"known": str})}
        if settings.get("hash") != settings_hash(described) or any(
            not isinstance(settings.get(key), kind) for key, kind in required.items()
        ):
            raise ValueError("its settings do not describe a model")
        return cls(model, settings)

    @property
    def up(self) -> Up:
        """Axis that points up in the meshes of the collection."""
        up: Up = self.settings["up"]
        return up

    @property
    def simplify(self) -> int | None:
        """Number of faces that larger meshes of the collection were simplified to; None: as the model does."""
        simplify: int | None = self.settings.get("simplify")
        return simplify

    @property
    def orientation(self) -> Orientation:
        """How the meshes of the collection were turned before they were drawn or filled."""
        input_settings = self.settings["input"] if self.settings["kind"] == "run" else self.settings
        orientation: Orientation = input_settings.get("orientation", "upright")  # imported views and grids have none
        return orientation

    @property
    def feature(self) -> str:
        """Feature that the index compares: ``penultimate`` or ``metric``."""
        return "metric" if "metric" in self.settings else "penultimate"

    @property
    def description(self) -> str:
        """One line about the model, for people."""
        if self.settings["kind"] == "run":
            compared = ", compared by its metric" if self.feature == "metric" else ""
            return f"{self.settings['network']['kind']} trained in {self.model}{compared}"
        adapted = ", adapted to the collection" if self.settings.get("adapt") else ""
        return "{backbone}, {views} views pooled by {pooling}".format_map(self.settings) + adapted

    def model_settings(self) -> dict[str, Any]:
        """Return the settings of ``@imagenet`` that a person chose, without those that number versions."""
        return {key: value for key, value in self.settings.items() if key not in ("hash", "kind", "drawing")}

    def require_same(self, stored: ModelRecord, where: str, remedy: str) -> None:
        """Raise MismatchError unless two records are of one model with the same settings.

        Args:
            stored: Record of what is at ``where``.
            where: Path for the message.
            remedy: Sentence that the message ends with.
        """
        if stored._identity != self._identity:
            raise MismatchError(f"{where} was made with {stored._title} and not with {self._title}. {remedy}")
        require_current(stored._version, where, remedy)
        require_same(self.settings, stored.settings, where, remedy)

    def open(self, where: Path, run: str | None = None) -> Model:
        """Return the model again, to query the index with it.

        Args:
            where: Folder of the index, for messages.
            run: Folder of the run now, if it has moved.

        Raises:
            MismatchError: Another model is there, or an earlier version of shapecnn drew or filled meshes otherwise.
            UsageError: The model does not exist.
            StoredDataError: The model is damaged or of another version.
        """
        again = f"Make it anew: shapecnn index COLLECTION INDEX --model {shlex.quote(self.model)} --up {self.up}"
        require_current(self._version, str(where), again)
        model = self._resolve(where) if run is None else resolve_model(run)
        if self.feature == "metric" and ModelRecord.of(model, self.up, self.simplify)._identity == self._identity:
            model = model.compared_by("metric")
        if self.settings["kind"] != "run" and run is not None:
            remedy = "Leave out --model."
        else:
            moved = "If that run is elsewhere now, say where: --model RUN."
            remedy = f"{moved} Else index the collection again, in a new folder."
        ModelRecord.of(model, self.up, self.simplify).require_same(self, str(where), remedy)
        return model

    def _resolve(self, where: Path) -> Model:
        if self.settings["kind"] == "run":
            try:
                return open_run(Path(self.model))
            except UsageError:
                raise UsageError(
                    f"{where} was made with the run {self.model}, which does not exist any more. If it has "
                    f"moved, say where it is: --model RUN"
                ) from None
        try:
            settings = {key: value for key, value in self.settings.items() if key != "hash"}
            return UntrainedModel(ImagenetSettings.from_options(**settings))
        except UsageError as error:
            raise StoredDataError(
                f"{where} is of another version of shapecnn ({error}). Index the collection again, in a new folder."
            ) from None

    @property
    def _version(self) -> Mapping[str, Any]:
        """Settings that say how the version that made the index drew or filled."""
        input_settings: dict[str, Any] = self.settings.get("input", self.settings)
        if input_settings.get("origin") != "imported":
            return input_settings
        key = "drawing" if input_settings.get("kind") == "views" else "filling"
        return {key: self.settings.get(key, 1)}  # version 1 did not say

    @property
    def _identity(self) -> tuple[str, str]:
        """The model without its settings."""
        kind = self.settings["kind"]
        return kind, self.settings["weights"] if kind == "run" else ""

    @property
    def _title(self) -> str:
        kind, weights = self._identity
        return f"{self.model} (weights {weights[:8]})" if kind == "run" else self.model
